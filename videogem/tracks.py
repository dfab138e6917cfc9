"""A narrated moment of a video → groundings at key frames, as `<Video>` projects need them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from videogem.grounder import Grounder
from videogem.media.sources import DEFAULT_LIMITS, Limits, Seconds, VideoInfo
from videogem.media.video import Source, clips_from, open_frames
from videogem.narration.cues import Cue
from videogem.structures import Box, Grounding

STEP = 0.5  # s between key frames; between them Label Studio draws straight lines
BATCH = 8
SAME_RATE = 5e-4  # share by which two frame rates may differ: 24 and 23.976 drift apart


@dataclass(frozen=True, eq=False)
class Track:
    """One cue, grounded at its key frames in ascending time.

    Empty where the video ends before the cue starts. ``fps`` and ``num_frames`` are the file's.
    """

    cue: Cue
    groundings: tuple[Grounding, ...]
    fps: float | None
    num_frames: int | None

    def box_at(self, time: Seconds) -> Box:
        """The box drawn at a time: on a straight line between its neighbours, held at the ends.

        Raises:
            ValueError: the track has no key frame.
        """
        if not self.groundings:
            raise ValueError("a track without key frames has no box")
        times = [grounding.time for grounding in self.groundings]
        sides = zip(*(grounding.box for grounding in self.groundings), strict=True)
        x1, y1, x2, y2 = (float(np.interp(time, times, side)) for side in sides)
        return x1, y1, x2, y2


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


def ground_cues(
    grounder: Grounder,
    source: Source,
    cues: Sequence[Cue],
    *,
    step: Seconds = STEP,
    num_frames: int = 1,
    window_step: Seconds = 0.25,
    batch_size: int = BATCH,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Track]:
    """Ground every cue at its key frames; one pass through the video, whatever the cues.

    Tracks come as soon as they are complete, and no more than one batch of clips and the tracks in
    progress are held. ``num_frames`` is the window of a video model, ``window_step`` its step.

    Raises:
        VideoReadError: the video cannot be read.
    """
    with open_frames(source, limits=limits) as reader:
        info = reader.info
        wanted: dict[float, list[int]] = defaultdict(list)
        open_keys = [0] * len(cues)
        for place, cue in enumerate(cues):
            for time in key_times(cue, info.end, step=step):
                wanted[time].append(place)
                open_keys[place] += 1
            if not open_keys[place]:
                yield Track(cue, (), info.fps, info.num_frames)
        times = sorted(wanted)
        clips = clips_from(reader, times, num_frames=num_frames, step=window_step)
        found: dict[int, list[Grounding]] = defaultdict(list)
        for first in range(0, len(times), batch_size):
            batch = times[first : first + batch_size]
            texts = [[cues[place].text for place in wanted[time]] for time in batch]
            results = grounder.ground_batch(list(islice(clips, len(batch))), texts)
            for time, groundings in zip(batch, results, strict=True):
                for place, grounding in zip(wanted[time], groundings, strict=True):
                    found[place].append(grounding)
                    open_keys[place] -= 1
                    if not open_keys[place]:
                        yield _track(cues[place], found.pop(place), info)


def _track(cue: Cue, groundings: Sequence[Grounding], info: VideoInfo) -> Track:
    """At a low frame rate several key times may show the same frame: one key is kept."""
    by_time = {grounding.time: grounding for grounding in groundings}
    return Track(cue, tuple(by_time.values()), info.fps, info.num_frames)


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
