"""Videos whose frames carry their own number, made with ffmpeg, and how to read it back.

A frame shows 12 squares, black or white: its number in binary, robust against compression. Four
grey bars make the picture asymmetric, so that a wrong rotation is seen too.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

WIDTH, HEIGHT, SQUARE, BITS = 160, 96, 24, 12
X264 = ("-c:v", "libx264", "-preset", "veryfast")


def require_ffmpeg() -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        raise RuntimeError("These tests make videos with ffmpeg; install it: apt install ffmpeg")


def numbered_frame(number: int) -> np.ndarray:
    frame = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    for bit in range(BITS):
        row, column = divmod(bit, 6)
        y, x = 8 + row * (SQUARE + 8), 8 + column * SQUARE
        frame[y : y + SQUARE, x : x + SQUARE] = 255 if number >> bit & 1 else 0
    frame[76:, :40] = (200, 40, 40)  # red at the bottom left
    return frame


def frame_number(frame: np.ndarray) -> int:
    """Read the number back; a picture between two numbers is an error, not a guess."""
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, 6)
        y, x = 8 + row * (SQUARE + 8) + SQUARE // 2, 8 + column * SQUARE + SQUARE // 2
        level = float(frame[y - 5 : y + 5, x - 5 : x + 5].mean())
        assert level < 90 or level > 165, f"square {bit} is grey ({level:.0f})"
        number |= int(level > 128) << bit
    return number


def ffmpeg(*args: str | Path, stdin: bytes | None = None) -> bytes:
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *map(str, args)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()[-2000:]}"
    return done.stdout


def encode(
    path: Path, *options: str | Path, frames: int = 100, fps: str = "25", audio: float | None = None
) -> Path:
    """Encode numbered frames; ``options`` are ffmpeg's, ``audio`` adds a tone of that length."""
    raw = b"".join(numbered_frame(number).tobytes() for number in range(frames))
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", fps]
    tone = [] if audio is None else ["-f", "lavfi", "-i", f"sine=duration={audio}"]
    ffmpeg(*source, "-i", "-", *tone, "-pix_fmt", "yuv420p", *options, path, stdin=raw)
    return path


def true_frames(path: Path) -> tuple[list[float], list[int]]:
    """What ffmpeg's own tools say: when each frame is shown (from the first on), and its number."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_frames", "-of", "json"]
    command += ["-show_entries", "frame=best_effort_timestamp_time", str(path)]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["frames"]
    # Old AVI stores no presentation times; these clips have 25 frames a second then.
    stamps = [
        float(frame.get("best_effort_timestamp_time", (place + 1) / 25))
        for place, frame in enumerate(shown)
    ]
    raw = ffmpeg(
        *("-noautorotate", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    )
    images = np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    assert len(images) == len(stamps)
    return [stamp - stamps[0] for stamp in stamps], [frame_number(image) for image in images]


class CountingFile:
    """A seekable binary file that counts what is read from it, as a remote reader would."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self._place = 0
        self.bytes_read = 0
        self.ranges: list[tuple[int, int]] = []

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._place + size
        part = self._data[self._place : end]
        self.ranges.append((self._place, len(part)))
        self._place += len(part)
        self.bytes_read += len(part)
        return part

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = max(0, (0, self._place, len(self._data))[whence] + offset)
        return self._place

    def tell(self) -> int:
        return self._place


def cut(path: Path, target: Path, share: float) -> Path:
    """The first part of a file, as a broken download leaves it."""
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def between(times: Sequence[float]) -> list[float]:
    """The middle of every frame."""
    return [(a + b) / 2 for a, b in pairwise(times)]
