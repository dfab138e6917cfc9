"""Label Studio's regions -> geometry, the reading counterpart of ``backend.labeling.regions``.

Percent, 1-based frames and rotation about the top left corner end here: regions hold points and
polygons in [0, 1] of their canvas, which is one image (``to_name``, ``item_index``) or one video.
"""

import logging
import math
from bisect import bisect_right
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from backend.labeling.forms import form_of_type
from backend.labeling.shapes import MAX_FRAME, MAX_KEYS, Key, ShapeKind, number
from videogem.metrics import box_iou, hit
from videogem.structures import Box, Point

logger = logging.getLogger(__name__)

Canvas = tuple[str, int]
EDGE = 1e-9  # x + width in percent carries float noise; an edge must not depend on it
MAX_REGIONS = 2000  # of one result; what is beyond is left out, with a line in the log
MAX_MASKS_PIXELS = 200_000_000  # of all masks of one result
MAX_SIDE = 1e6  # pixels
MAX_COMPARED = 10_000  # keys of one track


@dataclass(frozen=True, eq=False)
class Region:
    """One labelled place: a point, a box (maybe turned), a mask or a track of boxes."""

    id: str
    kind: ShapeKind
    label: str | None
    canvas: Canvas
    size_wh: tuple[float, float]
    corners: tuple[Point, ...] = ()
    rotation: float = 0.0
    mask: np.ndarray | None = None  # bool, H W
    keys: tuple[Key, ...] = ()
    score: float | None = None
    origin: str | None = None  # "manual", "prediction" or "prediction-changed", told by the editor

    @cached_property
    def point(self) -> Point:
        """The point itself, or the centre of the corners, of a track where it begins."""
        return centre(self.corners or self.keys[0].corners)

    @property
    def box(self) -> Box:
        """The upright box round the corners, of a track where it begins."""
        return bounds(self.corners or self.keys[0].corners)


@dataclass(frozen=True)
class Reading:
    """The regions of a result, and how many places it names beside them that cannot be used."""

    regions: list[Region]
    left_out: int


def read_regions(
    result: Sequence[Mapping[str, Any]], types: Container[str] | None = None
) -> list[Region]:
    """The regions that have a place; text, choices and malformed regions have none.

    ``types`` limits them to some of Label Studio's types: reading masks takes time.
    """
    return read_result(result, types).regions


def read_result(
    result: Sequence[Mapping[str, Any]], types: Container[str] | None = None
) -> Reading:
    """As ``read_regions``, with the count of what is left out: unreadable, or beyond the limits."""
    labels = _labels_of_pairs(result)
    unique: dict[tuple[str, str], Region] = {}
    pixels = left_out = 0
    for position, item in enumerate(result):
        if not isinstance(item, Mapping) or (types is not None and item.get("type") not in types):
            continue
        full = len(unique) >= MAX_REGIONS or pixels > MAX_MASKS_PIXELS
        region = None if full else read_region(item, labels)
        if region is None:
            form = form_of_type(str(item.get("type") or ""))
            left_out += form is not None and form.has_place
            continue
        pixels += 0 if region.mask is None else region.mask.size
        left_out += region.kind == "track" and len(item["value"].get("sequence") or ()) > MAX_KEYS
        unique.setdefault((region.id or str(position), region.kind), region)
    if left_out:
        logger.warning("%d regions of a result of %d are left out", left_out, len(result))
    return Reading(list(unique.values()), left_out)


def read_region(item: Mapping[str, Any], labels: Mapping[str, str]) -> Region | None:
    """One region, or None if it is no place or its numbers cannot be read."""
    kind, value = str(item.get("type") or "").lower(), item.get("value")
    if not isinstance(value, Mapping):
        return None
    width, height = (_side(item.get(name)) for name in ("original_width", "original_height"))
    if width is None or height is None:
        return None
    index = item.get("item_index")
    index = index if isinstance(index, int) and 0 <= index < MAX_FRAME else 0
    shared: dict[str, Any] = {
        "id": str(item.get("id") or ""),
        "label": _label(value) or labels.get(str(item.get("id") or "")),
        "canvas": (
            str(item.get("to_name") or ""),
            index if isinstance(index, int) and 0 <= index < MAX_FRAME else 0,
        ),
        "size_wh": (width, height),
        "score": number(item.get("score")),
        "origin": str(item["origin"]) if item.get("origin") else None,
    }
    form = form_of_type(kind)
    shape = form.read(value, (width, height)) if form is not None and form.read else None
    if shape is None:
        return None
    return Region(
        kind=shape.kind,
        corners=shape.corners,
        rotation=shape.rotation,
        mask=shape.mask,
        keys=shape.keys,
        **shared,
    )


def corners_at(track: Region, frame: int) -> tuple[Point, ...] | None:
    """A track's box at a 1-based frame, drawn straight between keys; None where it is not shown."""
    place = bisect_right(track.keys, frame, key=lambda key: key.frame)
    if not place:
        return None
    start = track.keys[place - 1]
    if start.frame == frame:
        return start.corners  # shown on the key itself, even where the span ends
    if not start.enabled:
        return None
    if place == len(track.keys):
        return start.corners
    after = track.keys[place]
    share = (frame - start.frame) / (after.frame - start.frame)
    return tuple(
        (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
        for a, b in zip(start.corners, after.corners, strict=True)
    )


def contains(region: Region, point: Point, corners: tuple[Point, ...] | None = None) -> bool:
    """Say whether a point lies in a box or mask, edges included."""
    if region.mask is not None:
        rows, columns = region.mask.shape
        if not (0 <= point[0] <= 1 and 0 <= point[1] <= 1):
            return False
        row, column = min(rows - 1, int(point[1] * rows)), min(columns - 1, int(point[0] * columns))
        return bool(region.mask[row, column])
    corners = region.corners if corners is None else corners
    if region.rotation or _tilted(corners):
        return _in_convex(point, corners)
    x1, y1, x2, y2 = bounds(corners)
    return hit(point, [(x1 - EDGE, y1 - EDGE, x2 + EDGE, y2 + EDGE)])


def effort(a: Region, b: Region) -> int:
    """What comparing two regions costs, about, where two upright boxes cost 1 (microseconds)."""
    if a.mask is not None or b.mask is not None:
        return 1 + max(r.mask.size for r in (a, b) if r.mask is not None) // 1000
    shapes = len(a.keys[:: step_of(a)]) or 1
    first = [r.keys[0].corners if r.keys else r.corners for r in (a, b)]
    return shapes * (30 if any(map(_tilted, first)) else 1)


def step_of(track: Region) -> int:
    """Of a track with very many keys each such one is compared, evenly from start to end."""
    return -(-len(track.keys) // MAX_COMPARED) or 1


def overlap(a: Region, b: Region) -> float:
    """Intersection over union of two regions on one canvas (boxes, turned boxes, masks)."""
    if a.mask is not None or b.mask is not None:
        return _mask_iou(a, b)
    return corners_iou(a.corners, b.corners)


def corners_iou(a: tuple[Point, ...], b: tuple[Point, ...]) -> float:
    """Intersection over union of two convex polygons; upright boxes take the short way.

    Scaling an axis scales both areas alike, so fractions of the frame serve as well as pixels.
    """
    if not _tilted(a) and not _tilted(b):
        return box_iou(bounds(a), bounds(b))
    shared = area(_clip(_clockwise(a), _clockwise(b)))
    union = area(a) + area(b) - shared
    return shared / union if union > 0 else 0.0


def bounds(corners: Sequence[Point]) -> Box:
    """The upright box round some corners."""
    xs, ys = [p[0] for p in corners], [p[1] for p in corners]
    return min(xs), min(ys), max(xs), max(ys)


def centre(corners: Sequence[Point]) -> Point:
    """The mean of some corners."""
    return (
        math.fsum(p[0] for p in corners) / len(corners),
        math.fsum(p[1] for p in corners) / len(corners),
    )


def area(corners: Sequence[Point]) -> float:
    """Area of a polygon (shoelace)."""
    return abs(_signed_area(corners))


def _signed_area(corners: Sequence[Point]) -> float:
    pairs = zip(corners, [*corners[1:], *corners[:1]], strict=True)
    return math.fsum(a[0] * b[1] - b[0] * a[1] for a, b in pairs) / 2


def _side(value: object) -> float | None:
    """Width or height of a frame; 1 where it is not told, None where it cannot be one."""
    side = number(value) if value else 1.0
    return side if side is not None and 1 <= side <= MAX_SIDE else None


def _mask_iou(a: Region, b: Region) -> float:
    shape = next(r.mask.shape for r in (a, b) if r.mask is not None)
    first, second = _paint(a, shape), _paint(b, shape)
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 0.0


def _paint(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    """The region on a grid of this shape, bool H W; one row of arithmetic in memory at a time."""
    if region.mask is not None and region.mask.shape == shape:
        return region.mask
    ys, xs = ((np.arange(length) + 0.5) / length for length in shape)
    if region.mask is not None:
        height, width = region.mask.shape
        rows, columns = (ys * height).astype(int), (xs * width).astype(int)
        return np.asarray(region.mask[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))])
    inside = np.zeros(shape, dtype=bool)
    corners = _clockwise(region.corners)
    x1, y1, x2, y2 = bounds(corners)
    near = np.flatnonzero((ys >= y1) & (ys <= y2))
    columns = slice(*np.searchsorted(xs, (x1, x2)))
    for row in near:
        kept = np.ones(columns.stop - columns.start, dtype=bool)
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            across = (b[0] - a[0]) * (ys[row] - a[1]) - (b[1] - a[1]) * (xs[columns] - a[0])
            kept &= across >= 0
        inside[row, columns] = kept
    return inside


def _tilted(corners: Sequence[Point]) -> bool:
    return len(corners) == 4 and (
        abs(corners[0][1] - corners[1][1]) > EDGE or abs(corners[1][0] - corners[2][0]) > EDGE
    )


def _in_convex(point: Point, corners: Sequence[Point]) -> bool:
    ring = _clockwise(corners)
    for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
        cross = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
        if cross < -EDGE * max(EDGE, math.dist(a, b)):
            return False
    return True


def _clockwise(corners: Sequence[Point]) -> list[Point]:
    """Corners in the order that keeps the inside on the positive side of each edge."""
    return list(corners) if _signed_area(corners) >= 0 else list(reversed(corners))


def _clip(subject: list[Point], window: list[Point]) -> list[Point]:
    """Intersection of two convex polygons (Sutherland and Hodgman, 1974)."""
    for a, b in zip(window, [*window[1:], window[0]], strict=True):
        kept: list[Point] = []
        sides = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in subject]
        for index, point in enumerate(subject):
            previous, side, last = subject[index - 1], sides[index], sides[index - 1]
            if (side >= 0) != (last >= 0):
                share = last / (last - side)
                kept.append(
                    (
                        previous[0] + share * (point[0] - previous[0]),
                        previous[1] + share * (point[1] - previous[1]),
                    )
                )
            if side >= 0:
                kept.append(point)
        subject = kept
    return subject


def _label(value: Mapping[str, Any]) -> str | None:
    for name, entry in value.items():
        if name.endswith("labels") and isinstance(entry, list) and entry:
            return str(entry[0])
    return None


def _labels_of_pairs(result: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Labels given in a second result of type "labels" with the region's id."""
    labels: dict[str, str] = {}
    for item in result:
        if isinstance(item, Mapping) and item.get("type") in ("labels", "choices"):
            value = item.get("value")
            label = _label(value) if isinstance(value, Mapping) else None
            if label and item.get("id"):
                labels.setdefault(str(item["id"]), label)
    return labels
