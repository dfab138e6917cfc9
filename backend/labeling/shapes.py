"""Where a region is, as read from Label Studio: percent and rotation end here.

Points are in [0, 1] of the region's frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from videogem.datasets import masks
from videogem.datasets.places import (
    Outline,
    box_corners,
    ellipse_outline,
    mask_corners,
    polygon_outline,
)
from videogem.datasets.places import number as number
from videogem.datasets.places import percent as percent
from videogem.structures import Point

ShapeKind = Literal["point", "box", "mask", "track"]
MAX_FRAME = 10**9
MAX_KEYS = 120_000  # of all tracks of a result: an hour of 30 frames a second, each labelled
FILLED_SIDE = 512  # pixels of the longer side on which outlines are filled


@dataclass(frozen=True)
class Key:
    """A track's box at one 1-based frame; ``enabled`` is False where the track pauses after it."""

    frame: int
    enabled: bool
    corners: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class Shape:
    """A point, a box (maybe turned), a mask or a track of boxes.

    A box with a mask is an ellipse or a polygon: the mask is what lies within.
    """

    kind: ShapeKind
    corners: tuple[Point, ...] = ()
    rotation: float = 0.0
    mask: np.ndarray | None = None  # bool, H W
    keys: tuple[Key, ...] = ()


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


def thin_keys(sequence: Sequence[Any], step: int) -> list[Any]:
    """Every ``step``-th key of a track and its last, and those where it pauses or goes on again.

    >>> keys = [{"frame": 1 + i, "enabled": i not in (4, 5)} for i in range(9)]
    >>> [key["frame"] for key in thin_keys(keys, 4)]
    [1, 5, 7, 9]
    """
    shown = [isinstance(key, Mapping) and bool(key.get("enabled", False)) for key in sequence]
    last = len(sequence) - 1
    kept = [
        key
        for place, key in enumerate(sequence)
        if place % step == 0 or place == last or shown[place] != shown[place - 1]
    ]
    most = 2 + 1.5 * len(sequence) / step  # more go on and off without end
    return kept if len(kept) <= most else list(sequence[::step])


def read_ellipse(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Shape | None:
    """A region with a centre, two radii and maybe a ``rotation``."""
    return _filled(ellipse_outline(value, size_wh), size_wh)


def read_polygon(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Shape | None:
    """A region with ``points``."""
    return _filled(polygon_outline(value, size_wh), size_wh)


def _filled(outline: Outline, size_wh: tuple[float, float]) -> Shape | None:
    """What lies within an outline: drawn by hand, it says where the action is as a box does."""
    if not outline:
        return None
    from PIL import Image, ImageDraw

    scale = FILLED_SIDE / max(size_wh)
    width, height = (max(1, round(side * scale)) for side in size_wh)
    picture = Image.new("1", (width, height))
    # Pillow's integer positions are middles of pixels.
    pixels = [(x * width - 0.5, y * height - 0.5) for x, y in outline]
    ImageDraw.Draw(picture).polygon(pixels, fill=1)
    mask = np.asarray(picture)
    shape = mask_shape(mask) if mask.any() else None
    return None if shape is None else replace(shape, kind="box")


def read_mask(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Shape | None:
    """A region painted with a brush, as run lengths or as a picture."""
    return mask_shape(masks.read_mask(value, size_wh))


def mask_shape(mask: np.ndarray | None) -> Shape | None:
    """A mask (bool, H W) with the corners of what is set in it."""
    return None if mask is None else Shape("mask", mask_corners(mask), mask=mask)
