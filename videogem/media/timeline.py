"""When the frames of a video are shown, found without decoding them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from jaxtyping import Int

_MAX_PACKETS = 2_000_000
_PRIMING = 0.1  # s; a stream that starts less than this after the file does so for codec reasons


@dataclass(frozen=True, eq=False)
class Timeline:
    """Presentation times of all frames, and of the key frames, in the stream's ticks, sorted.

    ``end`` is where the last frame's time is over, ``varies`` tells a variable frame rate.
    """

    pts: Int[np.ndarray, " N"]
    keys: Int[np.ndarray, " K"]
    end: int
    varies: bool

    def __len__(self) -> int:
        return len(self.pts)

    def place(self, tick: int) -> int:
        """Index of the last frame that begins at or before ``tick``."""
        return max(0, int(np.searchsorted(self.pts, tick, side="right")) - 1)

    def has_key_between(self, after: int, until: int) -> bool:
        place = int(np.searchsorted(self.keys, after, side="right"))
        return place < len(self.keys) and int(self.keys[place]) <= until


def timeline_from_index(
    container: InputContainer, stream: av.VideoStream, size: int
) -> Timeline | None:
    """MP4 and MOV list every frame up front: no need to read the file to count them.

    The list has decoding times; in order they differ from presentation times by a constant
    unless the rate varies and there are B-frames. Frames beyond the end of a file that was cut
    short, and frames an edit list hides, are left out. None for other containers.
    """
    entries = stream.index_entries
    if not 0 < len(entries) == stream.frames or "mp4" not in container.format.name:
        return None
    shown = [entry for entry in entries if not entry.is_discard]
    present = [entry for entry in shown if entry.pos + entry.size <= size]
    if not present or stream.start_time is None:
        return None
    shift = stream.start_time - present[0].timestamp
    pts = np.sort(np.array([entry.timestamp + shift for entry in present], dtype=np.int64))
    keys = [entry.timestamp + shift for entry in present if entry.is_keyframe]
    end = max(int(pts[-1]) + _step(stream), declared_end(stream) or 0)
    timeline = Timeline(pts, np.sort(np.array(keys, dtype=np.int64)), end, _varies(pts, stream))
    if len(present) == len(shown):
        return timeline
    return _cut_at(timeline, present[-1].timestamp, _step(stream))


def timeline_from_packets(packets: Iterable[av.Packet], stream: av.VideoStream) -> Timeline | None:
    """Exact for every container, at the price of reading the file to its end."""
    times: list[int] = []
    keys: list[int] = []
    end = decoded = 0
    for packet in packets:
        if packet.pts is None or packet.is_discard or packet.is_corrupt:
            continue
        times.append(packet.pts)
        decoded = packet.pts if packet.dts is None else packet.dts
        end = max(end, packet.pts + (packet.duration or _step(stream)))
        if packet.is_keyframe:
            keys.append(packet.pts)
        if len(times) > _MAX_PACKETS:
            return None
    if not times:
        return None
    pts = np.sort(np.array(times, dtype=np.int64))
    timeline = Timeline(pts, np.sort(np.array(keys, dtype=np.int64)), end, _varies(pts, stream))
    if _ends_early(end, stream):
        return _cut_at(timeline, decoded, _step(stream))
    return timeline


def _cut_at(timeline: Timeline, decoded: int, step: int) -> Timeline:
    """Keep what is complete of a file that was cut short.

    Frames are stored in the order of decoding: of those shown after the last decoding time, some
    may be missing between others.
    """
    kept = timeline.pts[timeline.pts <= decoded]
    if not len(kept):
        kept = timeline.pts[:1]
    keys = timeline.keys[timeline.keys <= kept[-1]]
    return Timeline(kept, keys, int(kept[-1]) + step, timeline.varies)


def _ends_early(end: int, stream: av.VideoStream) -> bool:
    """Compare with what the file declares; a tenth of a second is left for coarse headers."""
    declared = declared_end(stream)
    slack = max(2 * _step(stream), round(Fraction(1, 10) / tick(stream)))
    return declared is not None and end + slack < declared


def _varies(pts: Int[np.ndarray, " N"], stream: av.VideoStream) -> bool:
    """Tell a variable rate from the rounding of a constant one to the stream's ticks."""
    if len(pts) < 3:
        return False
    steps = np.diff(pts)
    rounding = 2 if tick(stream) < Fraction(1, 500) else 0  # AVI counts frames: a jump is real
    allowed = max(rounding, 0.1 * float(np.median(steps)))
    return bool(steps.max() - steps.min() > allowed)


def tick(stream: av.VideoStream) -> Fraction:
    """Seconds in one tick of the stream's clock."""
    return stream.time_base or Fraction(1, 90_000)


def declared_end(stream: av.VideoStream) -> int | None:
    """End of the pictures in ticks as written in the file; Matroska has it in a tag."""
    if stream.duration is not None:
        return int((stream.start_time or 0) + stream.duration)
    try:
        hours, minutes, seconds = map(Fraction, stream.metadata.get("DURATION", "").split(":"))
    except ValueError:
        return None
    return round((hours * 3600 + minutes * 60 + seconds) / tick(stream))


def _step(stream: av.VideoStream) -> int:
    rate = stream.average_rate or stream.guessed_rate
    return round(1 / (rate * tick(stream))) if rate else 0


@dataclass(frozen=True)
class Clock:
    """Where a player's time lies on the stream's: time 0, first frame, ends; all in ticks.

    ``end`` is that of the pictures, ``last`` that of the file, ``step`` the usual length of a frame
    (0 if unknown).
    """

    zero: int
    first: int
    end: int
    last: int
    step: int
    tick: Fraction
    fps: float | None
    truncated: bool

    @property
    def tolerance(self) -> float:
        """Rounding to coarse ticks (1 ms in WebM) moves frames by up to a tick."""
        return min(float(self.tick), 1e-3) + 1e-6

    def ticks(self, time: float | int) -> int:
        return self.zero + math.floor((time + self.tolerance) / self.tick)

    def seconds(self, ticks: int) -> float:
        return float((ticks - self.zero) * self.tick)


def read_clock(
    container: InputContainer, stream: av.VideoStream, timeline: Timeline | None, first: int
) -> Clock:
    """Find time 0 and the ends; ``first`` is when the first frame that can be decoded is shown."""
    base = tick(stream)
    if timeline is not None:
        first = min(first, int(timeline.pts[0]))
    begin = first
    if container.start_time is not None:
        begin = min(first, round(Fraction(container.start_time, av.time_base) / base))
    late = (first - begin) * base > _PRIMING
    declared = declared_end(stream)
    found = None if timeline is None else timeline.end
    whole = first
    if container.duration is not None:
        whole = begin + round(Fraction(container.duration, av.time_base) / base)
    end = max((known for known in (declared, found) if known is not None), default=whole)
    truncated = found is not None and _ends_early(found, stream)
    if truncated and found is not None:
        end = whole = found
    return Clock(
        zero=begin if late else first,
        first=first,
        end=end,
        last=max(end, whole),
        step=_step(stream),
        tick=base,
        fps=_frame_rate(stream, timeline),
        truncated=truncated,
    )


def _frame_rate(stream: av.VideoStream, timeline: Timeline | None) -> float | None:
    rate = stream.average_rate or stream.guessed_rate
    if timeline is not None and len(timeline) > 1 and (timeline.varies or not rate):
        return (len(timeline) - 1) / float((timeline.pts[-1] - timeline.pts[0]) * tick(stream))
    return float(rate) if rate else None
