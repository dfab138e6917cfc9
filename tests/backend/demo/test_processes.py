"""Child processes: ports, readiness, and that stopping leaves nothing behind."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from backend.demo.processes import ProcessError, ServerProcess, answers, free_port, run_to_end

SERVE = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port={port})"


def test_a_taken_port_is_not_chosen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_a_free_port_is_kept() -> None:
    port = free_port()
    assert free_port(port) == port


def test_a_server_is_waited_for_and_stopped(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "logs" / "server.log"
    command = [sys.executable, "-c", SERVE.format(port=port)]
    with ServerProcess("server", command, log=log, cwd=tmp_path) as server:
        server.wait_until_answering(f"http://127.0.0.1:{port}/", seconds=30)
        assert server.running()
    assert not server.running()
    assert not answers(f"http://127.0.0.1:{port}/")
    assert "GET / HTTP" in log.read_text()


def test_stop_ends_grandchildren_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait"
    with ServerProcess("parent", ["/bin/sh", "-c", script], log=tmp_path / "log"):
        deadline = time.monotonic() + 10
        while not pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        grandchild = int(pid_file.read_text())
    deadline = time.monotonic() + 10
    while _alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(grandchild)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a zombie waiting for init is as good as gone
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_server_that_ends_tells_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no database')"]
    with (
        ServerProcess("server", command, log=tmp_path / "log") as server,
        pytest.raises(ProcessError, match="no database"),
    ):
        server.wait_until_answering("http://127.0.0.1:9/", seconds=30)


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    url = f"http://127.0.0.1:{free_port()}/"
    with (
        ServerProcess("server", command, log=tmp_path / "log") as server,
        pytest.raises(ProcessError, match=r"no answer .* within 0 s"),
    ):
        server.wait_until_answering(url, seconds=0.3)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no program no-such-program"):
        ServerProcess("server", ["no-such-program"], log=tmp_path / "log").start()


def test_run_to_end_reports_and_fails_with_the_log(tmp_path: Path) -> None:
    lines: list[str] = []
    run_to_end(
        "sleep",
        ["/bin/sh", "-c", "sleep 0.5"],
        log=tmp_path / "log",
        report=lines.append,
        doing=lambda: "Sleeping",
    )
    assert lines and lines[0] == "Sleeping (0 s)"
    with pytest.raises(ProcessError, match="out of luck"):
        run_to_end(
            "fails",
            ["/bin/sh", "-c", "echo out of luck; exit 3"],
            log=tmp_path / "log",
            doing=lambda: "Trying",
        )
