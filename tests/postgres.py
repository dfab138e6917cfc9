"""A PostgreSQL server for tests; needs its server programs."""

import os
import shutil
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


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server for the length of a test; gives the database's URL."""
    # PostgreSQL refuses to run as root, and its user must reach the folder.
    options: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}
    port = free_port(None)
    folder = Path(f"/tmp/qa-postgres-{os.getpid()}-{port}")
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    pg_ctl = [str(server_program("pg_ctl")), "-D", f"{folder}/data", "-w"]
    start = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True, **options}
    try:
        initdb = [str(server_program("initdb")), "-D", f"{folder}/data", "-A", "trust", "-U", "qa"]
        subprocess.run(initdb, **quiet)
        subprocess.run([*pg_ctl, "-l", f"{folder}/log", "-o", start, "start"], **quiet)
        yield f"postgresql://qa@127.0.0.1:{port}/postgres"
        subprocess.run([*pg_ctl, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
