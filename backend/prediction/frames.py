"""A task's open media -> the clips that are grounded."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from videogem.media.sources import Limits, Source
from videogem.media.video import read_clip, read_clips
from videogem.structures import Clip

STEP = 0.25  # seconds between the frames of a window, as in the paper
# What one task may cost: 8K frames and two hours of video pass.
LIMITS = Limits(max_pixels=64_000_000, max_duration=2 * 3600.0)


def read_moment(
    source: Source, *, time: float | None, num_frames: int, encoded: bool = False
) -> Clip:
    """An image, or a video's frame at ``time`` (default: its middle) with those round it.

    With ``encoded`` a plain JPEG is left to the grounder to decode.

    Raises:
        VideoReadError: not to be decoded, or the time is outside the video.
    """
    return read_clip(
        source, time=time, num_frames=num_frames, step=STEP, limits=LIMITS, encoded=encoded
    )


def read_frame_list(
    frames: Sequence[Callable[[], BinaryIO]], *, num_frames: int, only: int | None = None
) -> Iterator[tuple[int, Clip]]:
    """One clip for every frame of a list, with its neighbours in the list where the model looks
    at several. Each frame is opened when its turn comes, and closed again.

    Raises:
        VideoReadError: a frame cannot be decoded.
    """
    indices = range(len(frames)) if only is None else [only]
    if num_frames == 1:
        # Alone, so that frames of different sizes keep theirs.
        for index in indices:
            with frames[index]() as file:
                clip = read_clip(file, limits=LIMITS)
            yield index, clip
        return
    times = [float(index) for index in indices]
    clips = read_clips(frames, times, num_frames=num_frames, step_frames=1, fps=1.0, limits=LIMITS)
    yield from zip(indices, clips, strict=True)
