"""What the audit looks at: annotated frames, and the comparisons that several reasons share."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from videogem.metrics import best_ious, box_iou, hit
from videogem.structures import Box, Point

K = TypeVar("K", bound=Hashable)
MANY = 5  # boxes that share a value, or a whole box
WHOLE_FRAME = 0.9  # of the canvas' area


@dataclass(frozen=True, slots=True)
class Item:
    """One annotated frame with what was predicted for it; None or () where unknown."""

    id: str
    boxes: tuple[Box, ...]
    size_wh: tuple[float, float]
    annotator: str | None = None
    label: str | None = None
    point: Point | None = None
    predicted_box: Box | None = None
    predicted_label: str | None = None
    narration: str | None = None
    score: float | None = None
    accepted: bool | None = None  # unchanged; None where there was nothing to accept
    lead_time: float | None = None
    track: str | None = None  # what connects the frames of one video
    time: float | None = None  # orders the frames of a track
    emptied: int = 0  # predicted regions of which, and beside which, nothing was left
    task: str = ""  # items of one task by several annotators show the same thing


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why one item may be wrong, and how much so: severities in [0, 1] rank within a reason."""

    item: Item
    severity: float
    detail: str


@dataclass(frozen=True)
class Reason:
    """One reason to look at annotations again.

    The code stays the same from version to version; ``weight`` is how often this one is assumed
    to be right where nobody marked yet. It ranks over reasons and is a judgement: on the demo world
    with seeded mistakes most are right more often (docs/qa.md), but there the model seldom errs.
    """

    code: str
    meaning: str
    weight: float
    check: Callable[[Sequence[Item]], Iterable[Doubt]]


def misses(items: Iterable[Item]) -> Iterator[tuple[Item, float]]:
    """Items whose predicted point is outside every box, and how far, as a share of the diagonal."""
    for item in items:
        if item.point is None or not item.boxes or hit(item.point, item.boxes):
            continue
        away = min(distance_to_box(item.point, box) for box in item.boxes)
        yield item, away / math.hypot(*item.size_wh)


def distance_to_box(point: Point, box: Box) -> float:
    """Way from a point to the nearest place of a box; 0 inside."""
    x1, y1, x2, y2 = box
    return math.hypot(
        max(x1 - point[0], 0.0, point[0] - x2), max(y1 - point[1], 0.0, point[1] - y2)
    )


def agree(a: Sequence[Box], b: Sequence[Box]) -> float:
    """How well two annotators' boxes match: mean of the best overlaps; 1 if both have none."""
    if not a and not b:
        return 1.0
    if len(a) == len(b) == 1:
        return box_iou(a[0], b[0])
    ours, theirs = best_ious(_corners(a), _corners(b))
    return (math.fsum(ours) + math.fsum(theirs)) / (len(ours) + len(theirs))


def _corners(boxes: Sequence[Box]) -> np.ndarray:
    return np.array(boxes, dtype=float).reshape(-1, 4)


def same_words(a: str, b: str) -> bool:
    """Say whether one text's words all occur in the other, whatever their case and joining."""
    first, second = (_words(text) for text in (a, b))
    return first <= second or second <= first


@lru_cache(maxsize=65536)
def _words(text: str) -> frozenset[str]:
    spread = "".join(f" {c}" if c.isupper() else c for c in text)
    camel = spread if any(c.islower() for c in text) else text
    letters = "".join(c if c.isalnum() else " " for c in camel.lower())
    return frozenset(letters.split())


def grouped(items: Iterable[Item], key: Callable[[Item], K | None]) -> dict[K, list[Item]]:
    """The items by a key; those without one are left out."""
    groups: dict[K, list[Item]] = defaultdict(list)
    for item in items:
        if (name := key(item)) is not None:
            groups[name].append(item)
    return groups


def flat(box: Box) -> bool:
    """Say whether a box has no area."""
    return box[2] <= box[0] or box[3] <= box[1]


@lru_cache(maxsize=65536)  # several reasons ask for the same boxes
def rounded(box: Box) -> Box:
    """A box as it is compared with others."""
    return round(box[0], 4), round(box[1], 4), round(box[2], 4), round(box[3], 4)
