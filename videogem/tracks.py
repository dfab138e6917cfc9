"""When a narrated moment of a video is grounded: key frames, as `<Video>` projects need them."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from videogem.media.sources import Seconds, VideoInfo
from videogem.narration.cues import Cue

STEP = 0.5  # s between key frames; between them Label Studio draws straight lines
SAME_RATE = 5e-4  # share by which two frame rates may differ: 24 and 23.976 drift apart


def key_times(cue: Cue, end: Seconds, *, step: Seconds = STEP) -> list[float]:
    """Start and end of a cue, and the multiples of ``step`` between them.

    Cues that overlap share the multiples, so that their frames are encoded once. Times after the
    video's ``end`` are left out.

    >>> key_times(Cue(0.4, 1.6, "cut"), 10.0)
    [0.4, 0.5, 1.0, 1.5, 1.6]
    """
    if step <= 0:
        raise ValueError(f"the step between key frames must be positive, got {step}")
    if cue.start > end:
        return []
    last = min(cue.end, end)
    grid = np.arange(np.floor(cue.start / step) + 1, np.ceil(last / step)) * step
    return sorted({float(cue.start), *map(float, grid), float(last)})


def plan_keys(cues: Sequence[Cue], end: Seconds, *, step: Seconds = STEP) -> dict[float, list[int]]:
    """The key times of all cues, ascending, each with the numbers of its cues.

    >>> plan_keys([Cue(0.0, 1.0, "cut"), Cue(0.5, 0.5, "stir")], 10.0)
    {0.0: [0], 0.5: [0, 1], 1.0: [0]}
    """
    wanted: dict[float, list[int]] = defaultdict(list)
    for number, cue in enumerate(cues):
        for time in key_times(cue, end, step=step):
            wanted[time].append(number)
    return {time: wanted[time] for time in sorted(wanted)}


def frame_rate_warning(info: VideoInfo, configured: Seconds | None) -> str | None:
    """What to tell the user where Label Studio's frame numbers are not those of the file.

    Label Studio numbers frames by the rate in the labeling config (24 without one; below 1 it is
    the length of a frame in seconds), whatever the file has. Boxes placed by time stay right,
    frame numbers and export do not.
    """
    if info.kind != "video" or info.fps is None:
        return None
    shown = 24.0 if configured is None else float(configured)
    if 0 < shown < 1:
        shown = 1 / shown
    if info.variable_rate:
        return (
            f"The video has a variable frame rate ({info.fps:.3f} on average), but Label Studio "
            f"counts {shown:g} frames in every second, so its frame numbers are not the file's; "
            "re-encode it: ffmpeg -i IN -fps_mode cfr -r 25 OUT.mp4."
        )
    if abs(shown - info.fps) > SAME_RATE * info.fps:
        return (
            f"The video has {info.fps:.3f} frames a second, but Label Studio counts {shown:g}, so "
            f'its frame numbers are not the file\'s; put framerate="{info.fps:.6g}" (or '
            'framerate="$fps" and the rate in the task) into the Video tag.'
        )
    return None
