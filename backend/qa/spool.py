"""Where events and predictions go while the database cannot be written: files, each line synced.

What is handed over is on the disk when ``add`` returns. A drainer seals the file that is being
written, so that nobody who adds waits for the database, and removes a file only after the database
has committed what was in it: cut off in between, entries come twice, and merging them twice changes
nothing. The files are shared by all processes of a data folder.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from backend.database.json_text import json_text, json_value
from videogem.errors import InputError

logger = logging.getLogger(__name__)
MEGABYTE = 1024 * 1024
MAX_BYTES = 512 * MEGABYTE  # of all files: hours of events; then nothing more is acknowledged
SEGMENT = 4 * MEGABYTE  # of one file, which is read as a whole
REFUSED = "refused.jsonl"  # entries that no database takes


class NotKeptError(InputError):
    """Neither the database nor the spool takes it; whoever sent it must not count it as kept."""


class Spool:
    """Entries (JSON objects) that wait for the database. Safe for threads and processes."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES, segment: int = SEGMENT) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment = segment
        self._counted: dict[Path, tuple[int, int]] = {}  # bytes and entries of each file

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keep an entry; on return it outlives a power cut.

        Raises:
            NotKeptError: the spool is full, or the disk cannot be written.
        """
        line = json_text(entry).encode() + b"\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked("add.lock"):
                self._append(line)
        except OSError as error:
            raise NotKeptError(
                f"Nothing can be kept: the database cannot be written, and {self.folder} cannot "
                f"either ({error.strerror or error}). Free some space or mend the database."
            ) from None

    def _append(self, line: bytes) -> None:
        segments = self._segments()
        if sum(_size(path) for path in segments) + len(line) > self._max_bytes:
            raise NotKeptError(
                f"Nothing can be kept: the database cannot be written, and {self.folder} holds "
                f"{self._max_bytes // MEGABYTE} MB already. Mend the database."
            )
        path = segments[-1] if segments else self._numbered(1)
        if not segments or _size(path) > self._segment:
            path = self._next(segments)
        with path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            try:
                if end and _last_byte(file) != b"\n":  # somebody's process ended within a line
                    line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):  # half a line was never acknowledged
                    file.truncate(end)
                raise

    def holds(self) -> bool:
        """Whether anything waits; cheap."""
        return any(_size(path) for path in self._segments())

    def num_bytes(self) -> int:
        """How much waits."""
        return sum(_size(path) for path in self._segments())

    def num_entries(self) -> int:
        """How many entries wait; a file is read on from where it was last counted."""
        counted: dict[Path, tuple[int, int]] = {}
        for path in self._segments():
            size, lines = self._counted.get(path, (0, 0))
            with suppress(FileNotFoundError), path.open("rb") as file:  # drained this moment
                file.seek(size)
                while chunk := file.read(MEGABYTE):
                    size, lines = size + len(chunk), lines + chunk.count(b"\n")
                counted[path] = size, lines
        self._counted = counted
        return sum(lines for _, lines in counted.values())

    def drain(self, into: Callable[[Sequence[dict[str, Any]]], None]) -> int:
        """Hand over all that waits, oldest first; returns how many entries.

        A file is removed once ``into`` has returned. Where another process drains already,
        nothing is done.

        Raises:
            Exception: whatever ``into`` raises; what it was given waits on.
        """
        done = 0
        if not self.holds():
            return 0
        with self._locked("drain.lock", wait=False) as mine:
            while mine and self.holds():
                with self._locked("add.lock"):
                    segments = self._segments()
                    self._next(segments)  # who adds goes there
                for path in segments:
                    entries = _entries(path)
                    if entries:
                        into(entries)
                    path.unlink()
                    done += len(entries)
        return done

    def refuse(self, entry: Mapping[str, Any], reason: str) -> None:
        """Put an entry aside that the database takes in no case; a person may look at it."""
        logger.error("an entry of the spool is put aside in %s: %s", REFUSED, reason)
        with (self.folder / REFUSED).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"reason": reason, **entry}) + "\n")

    @property
    def refused(self) -> Path | None:
        """The file with what was put aside; None where nothing was."""
        path = self.folder / REFUSED
        return path if _size(path) else None

    def _segments(self) -> list[Path]:
        """The files, oldest first."""
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    def _numbered(self, number: int) -> Path:
        return self.folder / f"{number:012d}.jsonl"

    def _next(self, segments: Sequence[Path]) -> Path:
        path = self._numbered(int(segments[-1].stem) + 1 if segments else 1)
        path.touch()
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name of a file is kept by its folder
        finally:
            os.close(folder)
        return path

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock among all processes; gives whether it could be had."""
        with (self.folder / name).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):  # drained this moment, or no such folder
        return 0


def _last_byte(file: IO[bytes]) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = []
    for line in path.read_bytes().splitlines():
        try:
            entry = json_value(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            entries.append(entry)
        elif line:
            logger.warning("%s: half a line, which was never acknowledged, is left out", path.name)
    return entries
