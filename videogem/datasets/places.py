"""Where Label Studio's regions are: percent, radii and rotation end here.

Outlines are points in [0, 1] of the frame (beyond it where somebody drew beyond it). What cannot be
read, or is too large to be a place that somebody drew, has no outline.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from videogem.datasets.masks import read_mask
from videogem.structures import Point

Outline = tuple[Point, ...]
LARGEST = 1e12  # of a number that somebody sent: its square and sums of them stay finite
MAX_PERCENT = 1e5  # a thousand frames away from the frame: no place that somebody drew
MAX_POINTS = 10_000  # of one polygon
ELLIPSE_POINTS = 360  # a box round them misses the ellipse by 4e-5 of its radius


def number(value: object) -> float | None:
    """A number whose square and sums of them stay finite, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= LARGEST else None


def percent(value: object) -> float | None:
    """A percentage that may be a place's, else None."""
    given = number(value)
    return given if given is not None and abs(given) <= MAX_PERCENT else None


def outline_of(type_: str, value: Mapping[str, Any], size_wh: tuple[float, float]) -> Outline:
    """The outline of a region that covers some of the frame, by its type; of a mask, its box.

    Empty where it is none, or cannot be read.
    """
    shape = type_.lower().removesuffix("labels")
    if shape == "rectangle":
        return box_corners(value, size_wh)
    if shape == "ellipse":
        return ellipse_outline(value, size_wh)
    if shape == "polygon":
        return polygon_outline(value, size_wh)
    mask = read_mask(value, size_wh) if shape in ("brush", "bitmask") else None
    return mask_corners(mask) if mask is not None and mask.any() else ()


def box_corners(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Outline:
    """Corners of a box turned clockwise about its top left one, in pixels (hence the size)."""
    shares = _shares(value, "x", "y", "width", "height")
    if shares is None:
        return ()
    x, y, w, h = shares
    offsets = ((0.0, 0.0), (w, 0.0), (w, h), (0.0, h))
    return _turned((x, y), offsets, value, size_wh)


def ellipse_outline(value: Mapping[str, Any], size_wh: tuple[float, float]) -> Outline:
    """An ellipse turned clockwise about its middle."""
    shares = _shares(value, "x", "y", "radiusX", "radiusY")
    if shares is None:
        return ()
    x, y, across, down = shares
    steps = (2 * math.pi * step / ELLIPSE_POINTS for step in range(ELLIPSE_POINTS))
    offsets = tuple((across * math.cos(step), down * math.sin(step)) for step in steps)
    return _turned((x, y), offsets, value, size_wh)


def polygon_outline(value: Mapping[str, Any], _size_wh: tuple[float, float]) -> Outline:
    """A polygon's points, at least three."""
    points = value.get("points")
    if not isinstance(points, list) or not 3 <= len(points) <= MAX_POINTS:
        return ()
    outline = []
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2:
            return ()
        x, y = percent(point[0]), percent(point[1])
        if x is None or y is None:
            return ()
        outline.append((x / 100, y / 100))
    return tuple(outline)


def _shares(value: Mapping[str, Any], *names: str) -> list[float] | None:
    numbers = [percent(value.get(name)) for name in names]
    return None if None in numbers else [n / 100 for n in numbers if n is not None]


def _turned(
    pivot: Point,
    offsets: tuple[Point, ...],
    value: Mapping[str, Any],
    size_wh: tuple[float, float],
) -> Outline:
    """Offsets from a pivot, turned about it. Shares of width and height differ in length."""
    x, y = pivot
    angle = math.radians(number(value.get("rotation")) or 0.0)
    if angle == 0:
        return tuple((x + dx, y + dy) for dx, dy in offsets)
    aspect = size_wh[0] / size_wh[1]
    cos, sin = math.cos(angle), math.sin(angle)
    return tuple(
        (x + dx * cos - dy * sin / aspect, y + dx * sin * aspect + dy * cos) for dx, dy in offsets
    )


def mask_corners(mask: np.ndarray) -> Outline:
    """The corners of what is set in a mask (bool, H W); all at (0, 0) where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ((0.0, 0.0),) * 4
    height, width = mask.shape
    x1, x2 = float(columns[0] / width), float((columns[-1] + 1) / width)
    y1, y2 = float(rows[0] / height), float((rows[-1] + 1) / height)
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)
