"""A task's open media -> the clips that are grounded."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from videogem.media.sources import Limits, VideoInfo
from videogem.media.stills import decoded_bytes
from videogem.media.video import clips_from, middle_time, open_frames, read_clip, read_clips
from videogem.structures import Clip

STEP = 0.25  # seconds between the frames of a window, as in the paper
# What one task may cost: 8K frames and two hours of video pass.
LIMITS = Limits(max_pixels=64_000_000, max_duration=2 * 3600.0)

MakeRoom = Callable[[int], None]  # waits until so many bytes may be decoded


def window_bytes(info: VideoInfo, num_frames: int) -> int:
    """What decoding the frames of one clip of a video takes: their pixels, and as much again."""
    return 2 * 3 * info.width * info.height * num_frames


def read_moment(
    source: BinaryIO,
    *,
    time: float | None,
    num_frames: int,
    encoded: bool = False,
    make_room: MakeRoom | None = None,
) -> Clip:
    """An image, or a video's frame at ``time`` (default: its middle) with those round it.

    With ``encoded`` a plain JPEG is left to the grounder to decode. ``make_room`` is asked before
    anything is decoded.

    Raises:
        VideoReadError: not to be decoded, or the time is outside the video.
    """
    if make_room is not None and (num_bytes := decoded_bytes(source)) is not None:
        make_room(num_bytes)
    elif make_room is not None:  # a video where an image may be
        with open_frames(source, limits=LIMITS) as reader:
            make_room(window_bytes(reader.info, num_frames))
            moment = middle_time(reader.info) if time is None else time
            return next(clips_from(reader, [moment], num_frames=num_frames, step=STEP))
    return read_clip(
        source, time=time, num_frames=num_frames, step=STEP, limits=LIMITS, encoded=encoded
    )


def read_frame_list(
    frames: Sequence[Callable[[], BinaryIO]],
    *,
    num_frames: int,
    only: int | None = None,
    make_room: MakeRoom | None = None,
) -> Iterator[tuple[int, Clip]]:
    """One clip for every frame of a list, with its neighbours in the list where the model looks
    at several. Each frame is opened when its turn comes, and closed again. ``make_room`` is asked
    for each clip when its frames are fetched and not yet decoded.

    Raises:
        VideoReadError: a frame cannot be decoded.
    """
    indices = range(len(frames)) if only is None else [only]
    if num_frames == 1:
        # Alone, so that frames of different sizes keep theirs.
        for index in indices:
            with frames[index]() as file:
                clip = read_moment(file, time=None, num_frames=1, make_room=make_room)
            yield index, clip
            del clip  # whoever took it holds it, and its room
        return
    times = [float(index) for index in indices]
    clips = read_clips(frames, times, num_frames=num_frames, step_frames=1, fps=1.0, limits=LIMITS)
    largest = 0
    ahead = num_frames - num_frames // 2  # frames of a window from its target on
    for index in indices:
        if make_room is not None:
            first = index if index == indices[0] else index + ahead - 1
            for frame in frames[first : index + ahead]:
                with frame() as file:
                    largest = max(largest, decoded_bytes(file) or 0)
            make_room(num_frames * largest)
        yield index, next(clips)
