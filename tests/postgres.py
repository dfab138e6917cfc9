"""A PostgreSQL server for tests; needs its server programs."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.demo.processes import free_port

MISSING = "PostgreSQL's initdb is not installed (apt-get install postgresql)"


def server_program(name: str) -> str | None:
    """Debian keeps PostgreSQL's server programs off the PATH."""
    found = [
        shutil.which(name),
        *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))),
    ]
    return next((path for path in found if path), None)


class Postgres:
    """A server of its own, which can be stopped and started again."""

    def __init__(self) -> None:
        # PostgreSQL refuses to run as root, and its user must reach the folder.
        self._options: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}
        port = free_port(None)
        self.folder = Path(f"/tmp/qa-postgres-{os.getpid()}-{port}")
        self.folder.mkdir(mode=0o777)
        self.folder.chmod(0o777)
        self.url = f"postgresql://qa@127.0.0.1:{port}/postgres"
        self._given = f"-p {port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("initdb", "-A", "trust", "-U", "qa")

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", f"{self.folder}/log", "-o", self._given, "start")

    def stop(self, mode: str = "fast") -> None:
        """End it and all its connections; ``immediate`` does so without tidying up."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nothing and close nothing meanwhile, like a machine whose disk hangs."""
        main = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
        children = subprocess.run(["pgrep", "-P", main], capture_output=True, check=True, text=True)
        processes = [int(number) for number in (main, *children.stdout.split())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it meanwhile: connections are ended, new ones refused."""
        self.stop()
        yield
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(server_program(program)), "-D", f"{self.folder}/data", *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, **quiet, **self._options)  # type: ignore[call-overload]


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Run a server for the length of a test, which may stop and start it meanwhile."""
    server = Postgres()
    try:
        server.start()
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server for the length of a test; gives the database's URL."""
    with postgres_server() as server:
        yield server.url
