"""Files on disk under a byte cap; the ones unused for longest go first."""

import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

logger = logging.getLogger(__name__)
PART_AGE = 3600.0  # seconds without a change after which nobody writes a file any more


class _Turn:
    """Who makes a file, one after the other."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = 0


class DiskCache:
    """Maps a key to a file. Reading threads keep their open file when it is evicted meanwhile."""

    def __init__(self, folder: Path, *, max_bytes: int, max_age: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}  # of the keys that somebody wants this moment
        self._sweep()

    def open(self, key: str, write: Callable[[BinaryIO], None]) -> BinaryIO:
        """The file for a key, opened; ``write`` makes it where it is missing or too old.

        Two threads asking for the same key make it once.

        Raises:
            OSError: the folder cannot be written.
        """
        name = hashlib.sha256(key.encode()).hexdigest()
        with self._turn(name):
            path = self._folder / name
            try:
                # A time to come was written by a wrong clock.
                if abs(time.time() - path.stat().st_mtime) < self._max_age:
                    file = path.open("rb")
                    os.utime(path, (time.time(), path.stat().st_mtime))
                    return file
            except FileNotFoundError:
                pass
            return self._make(path, write)

    @contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        with self._lock:
            turn = self._turns.setdefault(name, _Turn())
            turn.wanted += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.wanted -= 1
                if not turn.wanted:
                    del self._turns[name]

    def _sweep(self) -> None:
        """Remove half-written files of processes that were killed: nobody else ever does."""
        if not self._folder.is_dir():
            return
        for path in self._folder.glob("*.part"):
            with suppress(OSError):  # another process may be as quick
                if abs(time.time() - path.stat().st_mtime) > PART_AGE:
                    path.unlink()

    def _make(self, path: Path, write: Callable[[BinaryIO], None]) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as part:
            try:
                write(cast(BinaryIO, part))
                part.flush()
            except BaseException:
                Path(part.name).unlink()
                raise
        Path(part.name).replace(path)
        file = path.open("rb")
        with self._lock:
            self._evict()
        return file

    def _evict(self) -> None:
        self._sweep()
        entries = []
        for path in self._folder.iterdir():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix != ".part":
                entries.append((stat.st_atime, stat.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
