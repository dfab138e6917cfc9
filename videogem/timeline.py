"""When the frames of a video are shown, found without decoding them."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from jaxtyping import Int

_MAX_PACKETS = 2_000_000


@dataclass(frozen=True, eq=False)
class Timeline:
    """Presentation times of all frames, and of the key frames, in the stream's ticks, sorted."""

    pts: Int[np.ndarray, " N"]
    keys: Int[np.ndarray, " K"]
    varies: bool

    def __len__(self) -> int:
        return len(self.pts)

    def place(self, tick: int) -> int:
        """Index of the last frame that begins at or before ``tick``."""
        return max(0, int(np.searchsorted(self.pts, tick, side="right")) - 1)

    def has_key_between(self, after: int, until: int) -> bool:
        place = int(np.searchsorted(self.keys, after, side="right"))
        return place < len(self.keys) and int(self.keys[place]) <= until


def timeline_from_index(stream: av.VideoStream, size: int) -> Timeline | None:
    """MP4 and MOV list every frame up front: no need to read the file to count them.

    The list has decoding times; in order they differ from presentation times by a constant
    unless the rate varies and there are B-frames. Frames beyond the end of a file that was cut
    short, and frames an edit list hides, are left out. None for other containers.
    """
    entries = stream.index_entries
    if not 0 < len(entries) == stream.frames:
        return None
    present = [e for e in entries if e.pos + e.size <= size and not e.is_discard]
    if not present or stream.start_time is None:
        return None
    shift = stream.start_time - present[0].timestamp
    return _timeline(
        [e.timestamp + shift for e in present],
        [e.timestamp + shift for e in present if e.is_keyframe],
        stream,
    )


def timeline_from_packets(packets: Iterable[av.Packet], stream: av.VideoStream) -> Timeline | None:
    """Exact for every container, at the price of reading the file to its end."""
    pts: list[int] = []
    keys: list[int] = []
    for packet in packets:
        if packet.pts is None or packet.is_discard or packet.is_corrupt:
            continue
        pts.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
        if len(pts) > _MAX_PACKETS:
            return None
    return _timeline(pts, keys, stream) if pts else None


def _timeline(pts: list[int], keys: list[int], stream: av.VideoStream) -> Timeline:
    times = np.sort(np.array(pts, dtype=np.int64))
    base = stream.time_base or Fraction(1, 90_000)
    return Timeline(times, np.sort(np.array(keys, dtype=np.int64)), _varies(times, base))


def _varies(pts: Int[np.ndarray, " N"], base: Fraction) -> bool:
    """Tell a variable rate from the rounding of a constant one to the stream's ticks."""
    if len(pts) < 3:
        return False
    steps = np.diff(pts)
    rounding = 2 if base < Fraction(1, 500) else 0  # AVI counts frames: a jump there is real
    allowed = max(rounding, 0.1 * float(np.median(steps)))
    return bool(steps.max() - steps.min() > allowed)


def declared_end(stream: av.VideoStream) -> int | None:
    """End of the pictures in ticks as written in the file; Matroska has it in a tag."""
    if stream.duration is not None:
        return int((stream.start_time or 0) + stream.duration)
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (Fraction(part) for part in parts)
    except ValueError:
        return None
    return round((hours * 3600 + minutes * 60 + seconds) / (stream.time_base or 1))
