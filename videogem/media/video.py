"""Any source of pictures → clips: still image, video, folder or list of frames.

This is where seconds become frames and back; everything else speaks of times.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from videogem.media.sources import (
    DEFAULT_LIMITS,
    Frame,
    FrameReader,
    Limits,
    Seconds,
    Source,
    VideoInfo,
    VideoReadError,
    check_time,
    open_file,
    source_name,
)
from videogem.media.stills import (
    EncodedImage,
    FrameList,
    StillImage,
    is_image,
    list_frames,
)
from videogem.structures import Clip

__all__ = [
    "DEFAULT_LIMITS",
    "Frame",
    "FrameReader",
    "Limits",
    "Source",
    "VideoInfo",
    "VideoReadError",
    "clips_from",
    "middle_time",
    "open_frames",
    "probe",
    "read_clip",
    "read_clips",
    "read_frames",
]


@contextmanager
def open_frames(
    source: Source,
    *,
    fps: Seconds | None = None,
    limits: Limits = DEFAULT_LIMITS,
    encoded: bool = False,
) -> Iterator[FrameReader]:
    """Open a source for reading: a path or binary file object, a folder, or a list of images.

    File objects need ``read``, ``seek`` and ``tell`` and stay open. ``fps`` is the rate of a folder
    or list of frames (without it, one frame a second) and ignored otherwise. With ``encoded`` a
    plain JPEG is not decoded: its clips are `EncodedClip`, for a grounder that takes them.

    Raises:
        VideoReadError: unreadable, empty or beyond the limits.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        yield FrameList(source, fps=fps, limits=limits)
        return
    if isinstance(source, str):
        source = Path(source)
    if isinstance(source, Path) and source.is_dir():
        yield FrameList(list_frames(source), fps=fps, limits=limits)
        return
    with ExitStack() as stack:
        file, size = stack.enter_context(open_file(source, limits))
        if encoded:
            image = EncodedImage.of(file, size, source_name(source), limits)
            if image is not None:
                yield image
                return
        if is_image(file):
            yield StillImage(source, limits=limits)
            return
        from videogem.media.decoding import VideoReader  # imports the decoder: not for pictures

        local = isinstance(source, str | Path)
        reader = VideoReader(file, name=source_name(source), size=size, local=local, limits=limits)
        stack.callback(reader.close)
        yield reader


def probe(
    source: Source, *, fps: Seconds | None = None, limits: Limits = DEFAULT_LIMITS
) -> VideoInfo:
    """Say what a source holds: kind, size, rate, duration, number of frames.

    Raises:
        VideoReadError: unreadable, empty or beyond the limits.
    """
    with open_frames(source, fps=fps, limits=limits) as reader:
        return reader.info


def middle_time(info: VideoInfo) -> float:
    """The time used where none is given: the middle of the pictures."""
    return info.duration / 2


def read_clip(
    source: Source,
    *,
    time: Seconds | None = None,
    num_frames: int = 1,
    step: Seconds = 0.25,
    step_frames: int | None = None,
    fps: Seconds | None = None,
    limits: Limits = DEFAULT_LIMITS,
    encoded: bool = False,
) -> Clip:
    """Read the frame at ``time`` (default: the middle) and the frames around it.

    The window has ``num_frames // 2`` frames before the target and the rest after it (8: four and
    three, as in the paper), ``step`` seconds apart, or ``step_frames`` frames where that is given.
    Frames of a list without a rate are one apart. Beyond an end the nearest frame repeats. A still
    image shows the same at every time. ``encoded`` as in `open_frames`.

    Raises:
        VideoReadError: unreadable, or the time is outside the source.
    """
    with open_frames(source, fps=fps, limits=limits, encoded=encoded) as reader:
        moment = middle_time(reader.info) if time is None else time
        clips = clips_from(
            reader, [moment], num_frames=num_frames, step=step, step_frames=step_frames
        )
        return next(clips)


def read_clips(
    source: Source,
    times: Sequence[Seconds],
    *,
    num_frames: int = 1,
    step: Seconds = 0.25,
    step_frames: int | None = None,
    fps: Seconds | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Clip]:
    """Read a clip for each of the ascending ``times`` in one pass, as ``read_clip`` would.

    No more frames are held than the windows in progress need.

    Raises:
        VideoReadError: unreadable, or a time is outside the source.
    """
    with open_frames(source, fps=fps, limits=limits) as reader:
        yield from clips_from(
            reader, times, num_frames=num_frames, step=step, step_frames=step_frames
        )


def read_frames(
    source: Source,
    times: Sequence[Seconds],
    *,
    fps: Seconds | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Frame]:
    """Give the frame shown at each of the ascending ``times``, in one pass.

    Raises:
        VideoReadError: unreadable, or a time is outside the source.
    """
    with open_frames(source, fps=fps, limits=limits) as reader:
        _check_times(reader, times)
        yield from reader.frames_at(times)


def clips_from(
    reader: FrameReader,
    times: Sequence[Seconds],
    *,
    num_frames: int = 1,
    step: Seconds = 0.25,
    step_frames: int | None = None,
) -> Iterator[Clip]:
    """Like ``read_clips``, for a source that is already open."""
    if num_frames < 1 or (step_frames is not None and step_frames < 1) or step <= 0:
        raise ValueError(
            f"a window needs at least one frame and a positive step, got {num_frames} frames, "
            f"step {step_frames or step}"
        )
    _check_times(reader, times)
    if isinstance(reader, EncodedImage) and num_frames == 1:
        yield from [reader.clip] * len(times)
        return
    target = num_frames // 2
    offsets = range(-target, num_frames - target)
    info = reader.info
    if step_frames is None and info.kind == "frames" and info.fps is None:
        step_frames = 1
    windows = deque(_window(reader, time, offsets, step, step_frames) for time in times)
    held: dict[float, Frame] = {}
    wanted = sorted({time for window in windows for time in window})
    for time, frame in zip(wanted, reader.frames_at(wanted), strict=True):
        held[time] = frame
        while windows and windows[0][-1] <= time:
            yield _clip([held[moment] for moment in windows.popleft()], target, info)
            first = windows[0][0] if windows else time + 1
            held = {moment: kept for moment, kept in held.items() if moment >= first}


def _window(
    reader: FrameReader, time: Seconds, offsets: range, step: Seconds, step_frames: int | None
) -> list[float]:
    if step_frames is not None:
        return reader.neighbours(time, [offset * step_frames for offset in offsets])
    end = max(reader.info.end, time)
    return [min(max(time + offset * step, 0.0), end) for offset in offsets]


def _clip(frames: list[Frame], target: int, info: VideoInfo) -> Clip:
    height, width, _ = frames[target].image.shape
    return Clip(
        # A frame alone is not copied: one of 8K has 100 MB.
        frames=frames[0].image[None]
        if len(frames) == 1
        else np.stack([_resized(frame, width, height) for frame in frames]),
        times=np.array([frame.time for frame in frames]),
        frame_indices=np.array([frame.index for frame in frames], dtype=np.int64),
        target=target,
        fps=info.fps,
    )


def _resized(frame: Frame, width: int, height: int) -> np.ndarray:
    """Frames of a list may differ in size: the neighbours follow the target."""
    if frame.image.shape[:2] == (height, width):
        return frame.image
    resized = Image.fromarray(frame.image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _check_times(reader: FrameReader, times: Sequence[Seconds]) -> None:
    if any(later < earlier for earlier, later in pairwise(times)):
        raise ValueError("times must ascend, so that the file is read once")
    if reader.info.kind == "image":
        return  # a picture has no time: tasks may carry the time it was taken at in its video
    for time in times:
        check_time(reader.name, time, reader.info.end)
