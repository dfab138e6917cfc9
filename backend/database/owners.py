"""Which processes of this machine live: each holds a lock on a file for as long as it does."""

import fcntl
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO


class Owners:
    """The name of this process, and the names of those in the same folder that are gone.

    The system lets go of a dead process's lock at once, however it died; nothing has to be waited
    for, and no process number can be mistaken for another's.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.own = uuid.uuid4().hex
        # Locked before it has its name, so that nobody finds it unlocked.
        hidden = folder / f".{self.own}"
        self._file = hidden.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        hidden.rename(folder / self.own)

    def gone(self) -> list[str]:
        """Names of processes that ended without closing."""
        return [
            path.name
            for path in self._folder.iterdir()
            if path.name != self.own and not path.name.startswith(".") and _is_free(path)
        ]

    def forget(self, names: Iterable[str]) -> None:
        """Their leases are ended."""
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        self.forget([self.own])
        self._file.close()


def _is_free(path: Path) -> bool:
    with suppress(OSError):  # held, or just removed by another process
        file: IO[str]
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
