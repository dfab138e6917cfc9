"""Servers as child processes: free ports, logs, waiting until they answer, stopping for good."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

Report = Callable[[str], None]  # takes one line of progress for people

POLL_SECONDS = 0.25
STOP_SECONDS = 10.0


def silent(_line: str) -> None:
    """Progress nobody asked for."""


class ProcessError(RuntimeError):
    """A program failed, ended or stayed silent; the message holds the end of its log."""


def free_port(preferred: int | None = None) -> int:
    """Find a port nobody listens on, `preferred` if it is free.

    Both loopback addresses are tried: a server on 127.0.0.1 is hidden from browsers that resolve
    localhost to ::1 when somebody else listens there.
    """
    if preferred is not None and _is_free(preferred):
        return preferred
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if _is_free(port):
            return port


def _is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(1.0)
                if probe.connect_ex((address, port)) == 0:
                    return False
        except OSError:  # this machine has no such address family
            continue
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def local_environment(**variables: str) -> dict[str, str]:
    """This process's environment for a server on this machine: no proxy in between, UTF-8 logs."""
    bypass = {name: _with_localhost(os.environ.get(name)) for name in ("NO_PROXY", "no_proxy")}
    return {
        **os.environ,
        **bypass,
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    } | variables


def _with_localhost(hosts: str | None) -> str:
    return ",".join(filter(None, [hosts, "localhost", "127.0.0.1"]))


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file, for an error message."""
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


class ServerProcess:
    """A child process in a process group of its own, its output in a log file.

    The own group means that Ctrl-C reaches this program alone, which then stops the whole group:
    workers and grandchildren too.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [str(part) for part in command]
        self._env = dict(env) if env is not None else local_environment()
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> str:
        """The command line, as process lists show it."""
        return " ".join(self._command)

    @property
    def pid(self) -> int | None:
        """Process id, also the id of its group."""
        return self._process.pid if self._process else None

    def running(self) -> bool:
        """Whether the process has started and not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What the process ended with; None before that."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the process; its output is appended to the log."""
        if self.running():
            raise RuntimeError(f"{self.name} is already running.")
        executable = self._command[0]
        if shutil.which(executable) is None:
            raise FileNotFoundError(f"{self.name}: there is no program {executable}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise ProcessError if the process has ended."""
        if not self.running():
            raise ProcessError(
                f"{self.name} ended (exit code {self.exit_code}). "
                f"End of {self.log}:\n{log_tail(self.log)}"
            )

    def wait_until_answering(
        self,
        url: str,
        *,
        seconds: float,
        report: Report = silent,
    ) -> None:
        """Wait until GET `url` answers with success.

        Raises:
            ProcessError: the process ended or `seconds` passed.
        """
        begin = time.monotonic()
        while not answers(url):
            waited = time.monotonic() - begin
            self.check()
            if waited > seconds:
                raise ProcessError(
                    f"{self.name} gave no answer at {url} within {seconds:.0f} s. "
                    f"End of {self.log}:\n{log_tail(self.log)}"
                )
            report(f"{self.name} is starting ({waited:.0f} s)")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End the whole process group: politely, then for good. Nothing happens if it has ended."""
        if self._process is None:
            return
        group = self._process.pid
        _signal_group(group, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=STOP_SECONDS)
        _signal_group(group, signal.SIGKILL)  # grandchildren that outlived their parent, too
        self._process.wait()

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # ended; macOS says EPERM for zombies
        return


def run_to_end(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    report: Report = silent,
    doing: Callable[[], str],
) -> None:
    """Run a program to its end, its output in a log, reporting `doing()` and the time meanwhile.

    Raises:
        ProcessError: it failed.
    """
    begin = time.monotonic()
    with ServerProcess(name, command, log=log, env=env) as process:
        while process.running():
            report(f"{doing()} ({time.monotonic() - begin:.0f} s)")
            time.sleep(POLL_SECONDS)
    if process.exit_code != 0:
        raise ProcessError(f"{name} failed. End of {log}:\n{log_tail(log)}")


def remember(path: Path, processes: Sequence[ServerProcess]) -> None:
    """Write down what runs, for `end_leftovers` after a run that was killed."""
    entries = [{"pid": process.pid, "command": process.command} for process in processes]
    path.write_text(json.dumps(entries), encoding="utf-8")


def end_leftovers(path: Path) -> None:
    """End processes that an earlier run wrote down and could not end itself."""
    if not path.exists():
        return
    for entry in json.loads(path.read_text(encoding="utf-8")):
        listing = ["ps", "-o", "command=", "-p", str(entry["pid"])]
        shown = subprocess.run(listing, capture_output=True, text=True, check=False).stdout
        if entry["command"] in shown:  # else the number belongs to somebody else by now
            _signal_group(entry["pid"], signal.SIGKILL)
    path.unlink()


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether GET `url` succeeds now, without any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, OSError, ValueError):
        return False
