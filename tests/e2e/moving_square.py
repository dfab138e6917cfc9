"""A video in which everything is known: a square on a straight path, and who grounds it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests import clips
from tests.fakes import FakeGrounder
from videogem.errors import InputError
from videogem.structures import Box, Clip, Grounding

WIDTH, HEIGHT, SIDE = 640, 360, 80
FPS, NUM_FRAMES = 10, 60
MAGENTA = (230, 20, 230)


def box_in(frame_index: float) -> Box:
    """Where the square is in a 0-based frame: it moves by the same step in every frame."""
    x, y = 40 + 8 * frame_index, 240 - 3 * frame_index
    return x / WIDTH, y / HEIGHT, (x + SIDE) / WIDTH, (y + SIDE) / HEIGHT


def make_video(path: Path) -> Path:
    """H.264 with B-frames and one key frame, as cameras and editors write it."""
    frames = np.full((NUM_FRAMES, HEIGHT, WIDTH, 3), 110, dtype=np.uint8)
    for number, frame in enumerate(frames):
        x1, y1, x2, y2 = (
            round(edge * side)
            for edge, side in zip(box_in(number), (WIDTH, HEIGHT) * 2, strict=True)
        )
        frame[y1:y2, x1:x2] = MAGENTA
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS)]
    codec = ["-c:v", "libx264", "-bf", "2", "-g", "250", "-pix_fmt", "yuv420p"]
    clips.ffmpeg(*raw, "-i", "-", *codec, "-movflags", "+faststart", path, stdin=frames.tobytes())
    return path


def find_square(image: np.ndarray) -> Box:
    """The square's box in a picture of any size, in shares of it."""
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    seen = (red > 150) & (green < 110) & (blue > 150)
    if not seen.any():
        raise InputError("There is no magenta square in the frame.")
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    height, width = seen.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


class SquareGrounder(FakeGrounder):
    """Grounds every narration in the magenta square of the target frame."""

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        box = find_square(clip.target_frame)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        return [replace(found, box=box, point=centre) for found in super().ground(clip, narrations)]
