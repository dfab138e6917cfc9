"""Label Studio's regions -> geometry, the reading counterpart of ``backend.labeling.results``.

Percent, 1-based frames and rotation about the top left corner end here: regions hold points and
polygons in [0, 1] of their canvas, which is one image (``to_name``, ``item_index``) or one video.
"""

import base64
import binascii
import io
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from backend.qa.events import number
from videogem.metrics import box_iou, hit
from videogem.structures import Box, Point

Kind = Literal["point", "box", "mask", "track"]
Canvas = tuple[str, int]
EDGE = 1e-9  # x + width in percent carries float noise; an edge must not depend on it
POINT_TYPES = ("keypointlabels", "keypoint")
BOX_TYPES = ("rectanglelabels", "rectangle")
TRACK_TYPES = ("videorectangle",)
MASK_TYPES = ("brushlabels", "brush", "bitmasklabels", "bitmask")


@dataclass(frozen=True)
class Key:
    """A track's box at one 1-based frame; ``enabled`` is False where the track pauses after it."""

    frame: int
    enabled: bool
    corners: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class Region:
    """One labelled place: a point, a box (maybe turned), a mask or a track of boxes."""

    id: str
    kind: Kind
    label: str | None
    canvas: Canvas
    size_wh: tuple[float, float]
    corners: tuple[Point, ...] = ()
    rotation: float = 0.0
    mask: np.ndarray | None = None  # bool, H W
    keys: tuple[Key, ...] = ()
    score: float | None = None

    @property
    def point(self) -> Point:
        """The point itself, or the centre of the corners."""
        return centre(self.corners)

    @property
    def box(self) -> Box:
        """The upright box round the corners."""
        return bounds(self.corners)


def read_regions(
    result: Sequence[Mapping[str, Any]], types: Container[str] | None = None
) -> list[Region]:
    """The regions that have a place; text, choices and malformed regions have none.

    ``types`` limits them to some of Label Studio's types: reading masks takes time.
    """
    labels = _labels_of_pairs(result)
    regions = [
        read_region(item, labels)
        for item in result
        if isinstance(item, Mapping) and (types is None or item.get("type") in types)
    ]
    unique: dict[tuple[str, str], Region] = {}
    for position, region in enumerate(r for r in regions if r is not None):
        unique.setdefault((region.id or str(position), region.kind), region)
    return list(unique.values())


def read_region(item: Mapping[str, Any], labels: Mapping[str, str]) -> Region | None:
    """One region, or None if it is no place or its numbers cannot be read."""
    kind, value = str(item.get("type") or "").lower(), item.get("value")
    if not isinstance(value, Mapping):
        return None
    width = number(item.get("original_width")) or 1.0
    height = number(item.get("original_height")) or 1.0
    index = item.get("item_index")
    shared: dict[str, Any] = {
        "id": str(item.get("id") or ""),
        "label": _label(value) or labels.get(str(item.get("id") or "")),
        "canvas": (str(item.get("to_name") or ""), index if isinstance(index, int) else 0),
        "size_wh": (width, height),
        "score": number(item.get("score")),
    }
    if kind in POINT_TYPES:
        x, y = number(value.get("x")), number(value.get("y"))
        if x is None or y is None:
            return None
        return Region(kind="point", corners=((x / 100, y / 100),), **shared)
    if kind in BOX_TYPES:
        corners = _corners(value, width / height)
        turned = number(value.get("rotation")) or 0.0
        return Region(kind="box", corners=corners, rotation=turned, **shared) if corners else None
    if kind in MASK_TYPES:
        mask = _read_mask(value, round(width), round(height))
        if mask is None:
            return None
        return Region(kind="mask", corners=_mask_corners(mask), mask=mask, **shared)
    if kind in TRACK_TYPES:
        keys = _read_keys(value, width / height)
        return Region(kind="track", keys=keys, **shared) if keys else None
    return None


def corners_at(track: Region, frame: int) -> tuple[Point, ...] | None:
    """A track's box at a 1-based frame, drawn straight between keys; None where it is not shown."""
    before = [key for key in track.keys if key.frame <= frame]
    after = [key for key in track.keys if key.frame > frame]
    if not before:
        return None
    start = before[-1]
    if start.frame == frame:
        return start.corners  # shown on the key itself, even where the span ends
    if not start.enabled:
        return None
    if not after:
        return start.corners
    share = (frame - start.frame) / (after[0].frame - start.frame)
    return tuple(
        (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
        for a, b in zip(start.corners, after[0].corners, strict=True)
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


def _corners(value: Mapping[str, Any], aspect: float) -> tuple[Point, ...]:
    """Corners of a box turned clockwise about its top left one, in pixels (hence ``aspect``)."""
    numbers = [number(value.get(name)) for name in ("x", "y", "width", "height")]
    if any(n is None for n in numbers):
        return ()
    x, y, w, h = (n / 100 for n in numbers if n is not None)
    angle = math.radians(number(value.get("rotation")) or 0.0)
    if angle == 0:
        return (x, y), (x + w, y), (x + w, y + h), (x, y + h)
    cos, sin = math.cos(angle), math.sin(angle)
    offsets = ((0.0, 0.0), (w, 0.0), (w, h), (0.0, h))
    return tuple(
        (x + dx * cos - dy * sin / aspect, y + dx * sin * aspect + dy * cos) for dx, dy in offsets
    )


def _read_keys(value: Mapping[str, Any], aspect: float) -> tuple[Key, ...]:
    sequence = value.get("sequence")
    keys = {}
    for item in sequence if isinstance(sequence, list) else []:
        if not isinstance(item, Mapping) or number(item.get("frame")) is None:
            continue
        corners = _corners(item, aspect)
        if corners:
            frame = int(item["frame"])
            keys[frame] = Key(frame, bool(item.get("enabled", False)), corners)
    return tuple(keys[frame] for frame in sorted(keys))


def _read_mask(value: Mapping[str, Any], width: int, height: int) -> np.ndarray | None:
    if isinstance(value.get("rle"), list):
        from label_studio_sdk.converter.brush import decode_rle  # slow to import, seldom needed

        try:
            pixels = np.asarray(decode_rle(value["rle"]))
        except (ValueError, IndexError, TypeError):
            return None
        if pixels.size != width * height * 4:
            return None
        return np.asarray(pixels.reshape(height, width, 4)[..., 3] > 0)
    url = value.get("imageDataURL")
    if not isinstance(url, str) or "," not in url:
        return None
    from PIL import Image

    try:
        data = base64.b64decode(url.split(",", 1)[1], validate=True)
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGBA"))[..., 3] > 0
    except (binascii.Error, OSError, ValueError):
        return None


def _mask_corners(mask: np.ndarray) -> tuple[Point, ...]:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return ((0.0, 0.0),) * 4
    height, width = mask.shape
    x1, x2 = columns.min() / width, (columns.max() + 1) / width
    y1, y2 = rows.min() / height, (rows.max() + 1) / height
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)


def _mask_iou(a: Region, b: Region) -> float:
    shape = next(r.mask.shape for r in (a, b) if r.mask is not None)
    first, second = _paint(a, shape), _paint(b, shape)
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 0.0


def _paint(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    xs, ys = (columns + 0.5) / shape[1], (rows + 0.5) / shape[0]
    if region.mask is not None:
        height, width = region.mask.shape
        painted: np.ndarray = region.mask[
            (ys * height).astype(int).clip(0, height - 1),
            (xs * width).astype(int).clip(0, width - 1),
        ]
        return painted
    inside = np.ones(shape, dtype=bool)
    corners = _clockwise(region.corners)
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        inside &= (b[0] - a[0]) * (ys - a[1]) - (b[1] - a[1]) * (xs - a[0]) >= 0
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
