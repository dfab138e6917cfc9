"""What can be read as frames, what is known about it, and the limits put on it."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from videogem.errors import InputError


@runtime_checkable
class BinaryFile(Protocol):
    """What is asked of a file object: an opened file, BytesIO, or a reader of remote ranges."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


# beartype takes float literally; callers may give whole seconds.
Seconds = float | int

PathOrFile = str | Path | BinaryFile
FrameSource = PathOrFile | Callable[[], BinaryIO]  # one of a list; a function opens it
Source = PathOrFile | Sequence[FrameSource]
Kind = Literal["image", "video", "frames"]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
)


class VideoReadError(InputError):
    """An image, video or list of frames cannot be read as asked; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What is refused before it costs memory or time.

    The defaults let 8K video and six hours of recording through, and stop decompression bombs.
    """

    max_bytes: int = 4 * 2**30
    max_pixels: int = 64_000_000
    max_duration: Seconds = 6 * 3600


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class VideoInfo:
    """What the file says about its pictures; sizes are those seen after rotation.

    ``duration`` is that of the pictures; ``end`` is the last time a player can show, later than
    ``duration`` where the sound goes on. ``fps`` is the average rate, None for still images and
    for lists of frames without a rate. ``num_frames`` is None where counting would mean reading a
    large or remote file whole. ``rotation`` is in degrees clockwise and already applied.
    """

    kind: Kind
    width: int
    height: int
    fps: float | None
    duration: float
    end: float
    num_frames: int | None
    rotation: int = 0
    variable_rate: bool = False
    codec: str | None = None
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, with the time it appears at and its 0-based place in presentation order."""

    image: UInt8[np.ndarray, "H W 3"]
    time: float
    index: int


class FrameReader(ABC):
    """Pictures on a time axis; one subclass for each kind of source."""

    name: str
    info: VideoInfo

    @abstractmethod
    def frames_at(self, times: Sequence[Seconds]) -> Iterator[Frame]:
        """Give the frame shown at each of the ascending times, decoding forwards."""

    @abstractmethod
    def neighbours(self, time: Seconds, offsets: Sequence[int]) -> list[float]:
        """Times of the frames some frames away from the one at ``time``; the ends repeat."""


def source_name(source: PathOrFile) -> str:
    """Name a source in messages: the file's name, without the folders of this machine."""
    if isinstance(source, str | Path):
        return _as_path(source).name or str(source)
    name = getattr(source, "name", None)
    return Path(name).name if isinstance(name, str) and name else "the data"


def _as_path(source: str | Path) -> Path:
    """The path itself where it is one: reading it anew takes longer than reading a small file."""
    return source if isinstance(source, Path) else Path(source)


@contextmanager
def open_file(source: PathOrFile, limits: Limits) -> Iterator[tuple[BinaryFile, int]]:
    """Open a path, or rewind a file object, and give it with its size in bytes.

    A file object stays open afterwards: it belongs to the caller.

    Raises:
        VideoReadError: nothing there, an empty file, or more bytes than the limits allow.
    """
    name = source_name(source)
    if not isinstance(source, str | Path):
        yield source, _checked_size(source, name, limits)
        return
    try:
        file = _as_path(source).open("rb")
    except FileNotFoundError:
        raise VideoReadError(f"There is no file {source}; check the path.") from None
    except OSError as error:
        raise VideoReadError(f"Cannot open {source}: {error.strerror}.") from None
    with file:
        yield file, _checked_size(file, name, limits)


def _checked_size(file: BinaryFile, name: str, limits: Limits) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise VideoReadError(f"{name} is empty (0 bytes); download or export it again.")
    if size > limits.max_bytes:
        raise VideoReadError(
            f"{name} has {size / 2**20:.0f} MiB, more than the limit of "
            f"{limits.max_bytes / 2**20:.0f} MiB; cut or re-encode it, or raise the limit."
        )
    return size


def check_pixels(name: str, width: int, height: int, limits: Limits) -> None:
    """Refuse frames that would not fit the limits.

    Raises:
        VideoReadError: more pixels in a frame than allowed.
    """
    if width * height > limits.max_pixels:
        raise VideoReadError(
            f"{name} is {width}x{height}, more than the limit of {limits.max_pixels} pixels in a "
            "frame; scale it down, or raise the limit."
        )


def check_time(name: str, time: Seconds, end: float) -> None:
    """Refuse times before the start or after the end.

    Raises:
        VideoReadError: the time, with the range that is allowed.
    """
    if not 0 <= time <= end + 1e-3:
        raise VideoReadError(
            f"The time {time:g} s is outside {name}; give one from 0 to {end:.3f} s."
        )
