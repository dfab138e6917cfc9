"""What a bulk run is asked: moments of files, some of one file together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOMENTS = 16  # of one unit: so many are lost, and read again, where a worker dies


@dataclass(frozen=True)
class Ask:
    """A sentence to ground at one moment of a file; it becomes one row."""

    id: str  # unique in a run, and the same in every run
    narration: str
    time: float | None = None  # seconds; None: the picture itself, or the middle of the video
    start: float | None = None  # of the cue it was said in, seconds
    end: float | None = None
    task: int | None = None  # of Label Studio
    item_index: int | None = None  # of a task's list of frames


@dataclass(frozen=True)
class Unit:
    """Moments of one file, in the order of time; a list of frames is several files."""

    source: str  # as rows name it
    files: tuple[str, ...]
    asks: tuple[Ask, ...]
    folder: str = ""  # that relative names of files start from; "": the reading process's own

    @property
    def paths(self) -> list[Path]:
        return [Path(self.folder, file) for file in self.files]


@dataclass(frozen=True)
class Failure:
    """What could not be grounded, and why; for the person who owns the file."""

    source: str
    reason: str
    id: str | None = None
    narration: str | None = None
    time: float | None = None


def failure(source: str, ask: Ask, reason: str) -> Failure:
    return Failure(source, reason, ask.id, ask.narration, ask.time)


def made_id(source: str, *parts: object) -> str:
    """A name for a moment that has none: the same for the same source, time and sentence.

    >>> made_id("a.mp4", 1.5, "cut the tomato")
    'a.mp4#c84610feffcd40c7'
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
    return f"{source}#{digest}"


def units_of(source: str, asks: Sequence[Ask], files: Sequence[str] = ()) -> list[Unit]:
    """Units of one file, its moments in the order of time."""
    ordered = sorted(asks, key=lambda ask: -1.0 if ask.time is None else ask.time)
    return [
        Unit(source, tuple(files) or (source,), tuple(ordered[start : start + MOMENTS]))
        for start in range(0, len(ordered), MOMENTS)
    ]
