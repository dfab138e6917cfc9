"""A task's open media -> the clips that are grounded."""

from collections.abc import Sequence
from typing import BinaryIO

from videogem.grounder import Grounder
from videogem.media.sources import Limits
from videogem.media.video import read_clip, read_clips
from videogem.structures import Clip

STEP = 0.25  # seconds between the frames of a window, as in the paper
# What one task may cost: 8K frames and two hours of video pass.
LIMITS = Limits(max_pixels=64_000_000, max_duration=2 * 3600.0)


def window_length(grounder: Grounder) -> int:
    """Frames a grounder looks at: 1 for image models, 8 for ViCLIP."""
    return grounder.num_frames


def read_moment(file: BinaryIO, *, time: float | None, num_frames: int) -> Clip:
    """An image, or a video's frame at ``time`` (default: its middle) with those round it.

    Raises:
        VideoReadError: not to be decoded, or the time is outside the video.
    """
    return read_clip(file, time=time, num_frames=num_frames, step=STEP, limits=LIMITS)


def read_frame_list(files: Sequence[BinaryIO], *, num_frames: int) -> list[Clip]:
    """One clip for every frame of a list, with its neighbours in the list where the model looks
    at several.

    Raises:
        VideoReadError: a frame cannot be decoded.
    """
    if num_frames == 1:
        # Alone, so that frames of different sizes keep theirs.
        return [read_clip(file, limits=LIMITS) for file in files]
    times = [float(index) for index in range(len(files))]
    return list(
        read_clips(list(files), times, num_frames=num_frames, step_frames=1, fps=1.0, limits=LIMITS)
    )
