"""Pointing accuracy, box overlap and their intervals; one unit per call, whichever it is.

A point hits when it lies in any of the boxes, edges included, as in the reference evaluation.
The reference works on an integer grid instead, see `videogem.method.quirks`; here are floats.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

Number = float | int
YOUCOOK_CANVAS_WH = (640, 360)


def hit(point: Sequence[Number], boxes: Iterable[Sequence[Number]]) -> bool:
    """Say whether a point lies in any box (xyxy), edges included; no box is never hit.

    >>> hit((0.5, 0.2), [(0.0, 0.0, 0.4, 0.4), (0.5, 0.2, 0.9, 0.9)])
    True
    """
    x, y = point
    return any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes)


def box_area(box: Sequence[Number]) -> float:
    """Area of an xyxy box; an inverted box has none."""
    x1, y1, x2, y2 = box
    return float(max(0, x2 - x1) * max(0, y2 - y1))


def box_iou(a: Sequence[Number], b: Sequence[Number]) -> float:
    """Intersection over union of two xyxy boxes; 0 where both are empty.

    >>> box_iou((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    overlap = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    intersection = box_area(overlap)
    union = box_area(a) + box_area(b) - intersection
    return intersection / union if union > 0 else 0.0


def best_iou(box: Sequence[Number], targets: Iterable[Sequence[Number]]) -> float:
    """Overlap with the target that fits best, the box counterpart of "any box hits"."""
    return max((box_iou(box, target) for target in targets), default=0.0)


def enclosing_box(boxes: Sequence[Sequence[Number]]) -> tuple[float, float, float, float]:
    """The smallest box round all boxes, what the reference takes as V-HICO's target.

    Raises:
        ValueError: there is no box.
    """
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return float(min(x1)), float(min(y1)), float(max(x2)), float(max(y2))


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a share, honest near 0 and 1 and for few samples; (0, 1) for none.

    Raises:
        ValueError: ``hits`` is not in 0..n, or ``confidence`` not in (0, 1).

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927), without continuity correction.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"hits must be in 0..n, got {hits} of {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}")
    if n == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = hits / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n) / (1 + z2 / n)
    # Rounding may leave 1e-17 where the formula says 0 or 1.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Share:
    """``hits`` of ``n`` with the interval of the share; the share is None for no samples."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def accuracy(self) -> float | None:
        return self.hits / self.n if self.n else None


def pointing_accuracy(outcomes: Iterable[bool], confidence: float = 0.95) -> Share:
    """Share of hits over all samples (micro), with its Wilson interval."""
    values = list(outcomes)
    hits = sum(values)
    low, high = wilson_interval(hits, len(values), confidence)
    return Share(hits, len(values), low, high)


def accuracy_by_label(
    outcomes: Iterable[bool], labels: Iterable[str], confidence: float = 0.95
) -> dict[str, Share]:
    """Pointing accuracy per label, labels in alphabetical order."""
    groups: dict[str, list[bool]] = {}
    for outcome, label in zip(outcomes, labels, strict=True):
        groups.setdefault(label, []).append(outcome)
    return {label: pointing_accuracy(groups[label], confidence) for label in sorted(groups)}


def macro_accuracy(by_label: Mapping[str, Share]) -> float | None:
    """Mean of the labels' accuracies, each label counting the same; None without labels."""
    shares = [share.accuracy for share in by_label.values() if share.accuracy is not None]
    return math.fsum(shares) / len(shares) if shares else None


def youcook_canvas(size_wh: tuple[Number, Number]) -> tuple[Number, Number]:
    """The canvas YouCook-Interactions boxes refer to: frames past 640 x 360 were capped to it."""
    width, height = size_wh
    return YOUCOOK_CANVAS_WH if height > 360 and width > 640 else size_wh
