"""Where a region is, as read from Label Studio: percent and rotation end here.

Points are in [0, 1] of the region's frame.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from videogem.structures import Point

ShapeKind = Literal["point", "box", "mask", "track"]
LARGEST = 1e12  # of a number that somebody sent: its square and sums of them stay finite
MAX_PERCENT = 1e5  # a thousand frames away from the frame: no place that somebody drew
MAX_FRAME = 10**9
MAX_KEYS = 10_000  # of one track


@dataclass(frozen=True)
class Key:
    """A track's box at one 1-based frame; ``enabled`` is False where the track pauses after it."""

    frame: int
    enabled: bool
    corners: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class Shape:
    """A point, a box (maybe turned), a mask or a track of boxes."""

    kind: ShapeKind
    corners: tuple[Point, ...] = ()
    rotation: float = 0.0
    mask: np.ndarray | None = None  # bool, H W
    keys: tuple[Key, ...] = ()


def number(value: object) -> float | None:
    """A number whose square and sums of them stay finite, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= LARGEST else None


def percent(value: object) -> float | None:
    """A percentage that may be a place's, else None."""
    given = number(value)
    return given if given is not None and abs(given) <= MAX_PERCENT else None


def box_corners(value: Mapping[str, Any], size_wh: tuple[float, float]) -> tuple[Point, ...]:
    """Corners of a box turned clockwise about its top left one, in pixels (hence the size)."""
    numbers = [percent(value.get(name)) for name in ("x", "y", "width", "height")]
    if any(n is None for n in numbers):
        return ()
    x, y, w, h = (n / 100 for n in numbers if n is not None)
    angle = math.radians(number(value.get("rotation")) or 0.0)
    if angle == 0:
        return (x, y), (x + w, y), (x + w, y + h), (x, y + h)
    aspect = size_wh[0] / size_wh[1]
    cos, sin = math.cos(angle), math.sin(angle)
    offsets = ((0.0, 0.0), (w, 0.0), (w, h), (0.0, h))
    return tuple(
        (x + dx * cos - dy * sin / aspect, y + dx * sin * aspect + dy * cos) for dx, dy in offsets
    )


def read_point(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Shape | None:
    """A region with ``x`` and ``y``."""
    x, y = percent(value.get("x")), percent(value.get("y"))
    return None if x is None or y is None else Shape("point", ((x / 100, y / 100),))


def read_box(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Shape | None:
    """A region with a corner, a size and maybe a ``rotation``."""
    corners = box_corners(value, size_wh)
    turned = number(value.get("rotation")) or 0.0
    return Shape("box", corners, rotation=turned) if corners else None


def read_track(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Shape | None:
    """A region with a ``sequence`` of boxes."""
    sequence = value.get("sequence")
    keys = {}
    for item in sequence[:MAX_KEYS] if isinstance(sequence, list) else []:
        frame = number(item.get("frame")) if isinstance(item, Mapping) else None
        corners = box_corners(item, size_wh) if frame is not None else ()
        if frame is not None and abs(frame) <= MAX_FRAME and corners:
            keys[int(frame)] = Key(int(frame), bool(item.get("enabled", False)), corners)
    return Shape("track", keys=tuple(keys[frame] for frame in sorted(keys))) if keys else None


def mask_shape(mask: np.ndarray | None) -> Shape | None:
    """A mask (bool, H W) with the corners of what is set in it."""
    return None if mask is None else Shape("mask", _mask_corners(mask), mask=mask)


def _mask_corners(mask: np.ndarray) -> tuple[Point, ...]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ((0.0, 0.0),) * 4
    height, width = mask.shape
    x1, x2 = float(columns[0] / width), float((columns[-1] + 1) / width)
    y1, y2 = float(rows[0] / height), float((rows[-1] + 1) / height)
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)
