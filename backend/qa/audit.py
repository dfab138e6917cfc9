"""Which labels to look at again: suspects with a reason, ranked. Pure; units of the items' canvas.

A reason is a code that stays the same from version to version (``REASONS`` says what each means).
Severities are in [0, 1] and rank within a reason; over reasons they are weighted by how often a
reason was right on the demo world with seeded mistakes (docs/qa.md).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from videogem.metrics import best_iou, box_area, box_iou, hit
from videogem.structures import Box, Point

K = TypeVar("K", bound=Hashable)

REASONS = {
    "zero-area": "the box has no area",
    "out-of-canvas": "the box leaves the frame",
    "edge-clipped": "one side has a value inside the frame that many other boxes share",
    "whole-frame": "the box covers nearly the whole frame",
    "tiny": "the box is too small to be seen",
    "identical-boxes": "many frames carry exactly this box",
    "confident-miss": "the model is sure and points outside the box",
    "far-outside": "the model points far away from the box",
    "label-mismatch": "the label is not what was predicted or narrated",
    "track-jump": "the box jumps away and back between neighbouring frames",
    "annotator-disagreement": "annotators of this task do not agree",
    "always-accepts": "this annotator leaves every prediction as it is",
    "short-time": "the annotation took far less time than usual",
}
WEIGHTS = {
    "zero-area": 1.0,
    "out-of-canvas": 0.9,
    "track-jump": 0.85,
    "annotator-disagreement": 0.8,
    "far-outside": 0.8,
    "edge-clipped": 0.7,
    "whole-frame": 0.7,
    "tiny": 0.7,
    "identical-boxes": 0.6,
    "confident-miss": 0.6,
    "label-mismatch": 0.6,
    "always-accepts": 0.4,
    "short-time": 0.4,
}
FAR = 0.15  # of the diagonal, from the point to the nearest box
WHOLE_FRAME = 0.9  # of the canvas' area
TINY = 0.0005  # of the canvas' area: 12 x 12 pixels of 640 x 480
MANY = 5  # boxes that share a value, or a whole box
CLIPPED_SHARE = 0.03  # of all boxes must share a value before it looks like clipping
AT_BORDER = 0.0025  # of the frame: a pixel of 480
DISAGREE_IOU = 0.3
ALWAYS_N, ALWAYS_SHARE = 20, 0.95
SHORT_N, SHORT_SHARE, SHORT_S = 10, 0.2, 1.0
SIDES = ("left", "top", "right", "bottom")
JUMP, JUMP_RATIO = 0.15, 3.0  # of the diagonal; times the way between the neighbours


@dataclass(frozen=True)
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
    score: float | None = None
    accepted: bool | None = None  # unchanged; None where there was nothing to accept
    lead_time: float | None = None
    track: str | None = None  # what connects the frames of one video
    time: float | None = None  # orders the frames of a track
    task: str = ""  # items of one task by several annotators show the same thing


@dataclass(frozen=True)
class Suspect:
    """One item under one reason."""

    id: str
    reason: str
    severity: float
    detail: str


def find_suspects(items: Sequence[Item]) -> list[Suspect]:
    """All suspects, the most suspicious item first, each with all its reasons together."""
    found = [suspect for check in CHECKS for suspect in check(items)]
    rank: dict[str, float] = defaultdict(lambda: 1.0)
    for suspect in found:
        rank[suspect.id] *= 1 - min(0.99, WEIGHTS[suspect.reason] * (0.5 + suspect.severity / 2))
    order = list(REASONS)
    return sorted(found, key=lambda s: (rank[s.id], s.id, order.index(s.reason)))


def count_reasons(suspects: Iterable[Suspect]) -> dict[str, int]:
    """Items per reason, in the order of ``REASONS``; reasons without any are left out."""
    counts = Counter(reason for _, reason in {(s.id, s.reason) for s in suspects})
    return {reason: counts[reason] for reason in REASONS if counts[reason]}


def _zero_area(items: Sequence[Item]) -> Iterable[Suspect]:
    for item in items:
        if any(_flat(box) for box in item.boxes):
            yield Suspect(item.id, "zero-area", 1.0, "a side of the box is zero or negative")


def _out_of_canvas(items: Sequence[Item]) -> Iterable[Suspect]:
    for item in items:
        width, height = item.size_wh
        beyond = max(
            (max(-x1 / width, -y1 / height, x2 / width - 1, y2 / height - 1)
             for x1, y1, x2, y2 in item.boxes),
            default=0.0,
        )  # fmt: skip
        if beyond > 1e-6:
            detail = f"{100 * beyond:.1f} % of the frame's side beyond its edge"
            yield Suspect(item.id, "out-of-canvas", min(1.0, 0.5 + beyond), detail)


def _edge_clipped(items: Sequence[Item]) -> Iterable[Suspect]:
    by_size: dict[tuple[float, float], list[Item]] = defaultdict(list)
    for item in items:
        by_size[item.size_wh].append(item)
    for (width, height), same in by_size.items():
        borders = ((0.0, width), (0.0, height), (width, width), (height, height))
        different = {_rounded(box) for item in same for box in item.boxes if not _flat(box)}
        spikes = {
            (side, value): share
            for side in range(4)
            for value, share in _spikes([box[side] for box in different], *borders[side]).items()
        }
        for item in same:
            shared = [
                (spikes[side, value], SIDES[side], value)
                for box in item.boxes
                for side, value in enumerate(_rounded(box))
                if (side, value) in spikes and not _flat(box)
            ]
            if shared:
                share, side, value = max(shared)
                detail = f"{side} side at {value:g}, as in {100 * share:.0f} % of the boxes"
                yield Suspect(item.id, "edge-clipped", min(1.0, 0.5 + share), detail)


def _spikes(values: Sequence[float], border: float, extent: float) -> dict[float, float]:
    """Values far more frequent than their peers, with their share; not the frame's own border,
    nor the pixel beside it, where datasets that count pixels inclusively end.

    Boxes drawn along a line all share a side too: a spike needs many other values beside it.
    """
    counts = Counter(values)
    found = {}
    for value, count in counts.most_common(4):
        if abs(value - border) <= AT_BORDER * extent:
            continue
        others = sorted(c for v, c in counts.items() if v != value)
        if len(others) < MANY or sum(others) < 0.3 * len(values):
            break
        usual = others[int(0.9 * (len(others) - 1))]
        if count >= max(MANY, CLIPPED_SHARE * len(values), 5 * usual):
            found[value] = count / len(values)
    return found


def _whole_or_tiny(items: Sequence[Item]) -> Iterable[Suspect]:
    for item in items:
        canvas = item.size_wh[0] * item.size_wh[1]
        shares = [box_area(box) / canvas for box in item.boxes if not _flat(box)]
        if shares and max(shares) >= WHOLE_FRAME:
            detail = f"{100 * max(shares):.0f} % of the frame"
            yield Suspect(item.id, "whole-frame", min(1.0, max(shares)), detail)
        if shares and min(shares) < TINY:
            detail = f"{100 * min(shares):.3f} % of the frame"
            yield Suspect(item.id, "tiny", 1 - min(shares) / TINY, detail)


def _identical(items: Sequence[Item]) -> Iterable[Suspect]:
    tasks: dict[tuple[Box, tuple[float, float]], set[str]] = defaultdict(set)
    for item in items:
        for box in item.boxes:
            tasks[_rounded(box), item.size_wh].add(item.task or item.id)
    for item in items:
        width, height = item.size_wh
        repeats = max(
            (len(tasks[_rounded(box), item.size_wh]) for box in item.boxes
             if not _flat(box) and box_area(box) < WHOLE_FRAME * width * height),
            default=0,
        )  # fmt: skip
        if repeats >= MANY:
            detail = f"the same box on {repeats} frames"
            yield Suspect(item.id, "identical-boxes", 1 - MANY / (2 * repeats), detail)


def _misses(items: Sequence[Item]) -> Iterable[Suspect]:
    scores = sorted(item.score for item in items if item.score is not None)
    sure = scores[len(scores) // 4] if scores else math.inf  # more than its least sure quarter
    if scores and scores[0] >= 0 and scores[-1] <= 1:
        sure = max(sure, 0.5)
    for item in items:
        if item.point is None or not item.boxes or hit(item.point, item.boxes):
            continue
        diagonal = math.hypot(*item.size_wh)
        away = min(distance_to_box(item.point, box) for box in item.boxes) / diagonal
        if item.score is not None and item.score >= sure:
            detail = f"score {item.score:.2f}, {100 * away:.0f} % of the diagonal outside"
            yield Suspect(item.id, "confident-miss", min(1.0, 4 * away), detail)
        if away > FAR:
            detail = f"{100 * away:.0f} % of the diagonal outside"
            yield Suspect(item.id, "far-outside", min(1.0, away / (4 * FAR)), detail)


def _label_mismatch(items: Sequence[Item]) -> Iterable[Suspect]:
    named = [item for item in items if item.label and item.predicted_label]
    wrong = [i for i in named if not same_words(i.label or "", i.predicted_label or "")]
    if len(wrong) == len(named) >= MANY:
        return  # two vocabularies, not many mistakes
    for item in wrong:
        detail = f"labelled {item.label!r}, predicted or narrated {item.predicted_label!r}"
        yield Suspect(item.id, "label-mismatch", 0.7, detail)


def _disagreement(items: Sequence[Item]) -> Iterable[Suspect]:
    for same in _grouped(items, lambda item: item.task or item.id).values():
        for item in same:
            others = [o for o in same if o is not item and o.annotator != item.annotator]
            if not others:
                continue
            agreement = sum(agree(item.boxes, o.boxes) for o in others) / len(others)
            if agreement < DISAGREE_IOU:
                detail = f"overlap {agreement:.2f} with {len(others)} other annotation(s)"
                yield Suspect(item.id, "annotator-disagreement", 1 - agreement, detail)


def _always_accepts(items: Sequence[Item]) -> Iterable[Suspect]:
    for annotator, same in _grouped(items, lambda item: item.annotator).items():
        judged = [item for item in same if item.accepted is not None]
        accepted = [item for item in judged if item.accepted]
        if len(judged) < ALWAYS_N or len(accepted) < ALWAYS_SHARE * len(judged):
            continue
        share = len(accepted) / len(judged)
        detail = f"annotator {annotator} accepted {len(accepted)} of {len(judged)} unchanged"
        for item in accepted:
            yield Suspect(item.id, "always-accepts", share, detail)


def _short_time(items: Sequence[Item]) -> Iterable[Suspect]:
    times = sorted(item.lead_time for item in items if item.lead_time is not None)
    if len(times) < SHORT_N:
        return
    usual = times[len(times) // 2]
    for item in items:
        limit = max(SHORT_S, SHORT_SHARE * usual)
        if item.lead_time is not None and item.lead_time < min(limit, usual):
            detail = f"{item.lead_time:.1f} s, usual are {usual:.1f} s"
            yield Suspect(item.id, "short-time", 1 - item.lead_time / limit, detail)


def _track_jump(items: Sequence[Item]) -> Iterable[Suspect]:
    usable = [item for item in items if item.track and item.time is not None and item.boxes]
    for same in _grouped(usable, lambda item: (item.track, item.annotator, item.label)).values():
        ordered = sorted(same, key=lambda item: item.time or 0.0)
        for before, item, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
            diagonal = math.hypot(*item.size_wh)
            a, b, c = (_middle(i.boxes[0]) for i in (before, item, after))
            away = min(math.dist(a, b), math.dist(b, c)) / diagonal
            if away > max(JUMP, JUMP_RATIO * math.dist(a, c) / diagonal):
                detail = f"{100 * away:.0f} % of the diagonal away from the frames beside it"
                yield Suspect(item.id, "track-jump", min(1.0, 2 * away), detail)


CHECKS: tuple[Callable[[Sequence[Item]], Iterable[Suspect]], ...] = (
    _zero_area,
    _out_of_canvas,
    _edge_clipped,
    _whole_or_tiny,
    _identical,
    _misses,
    _label_mismatch,
    _disagreement,
    _always_accepts,
    _short_time,
    _track_jump,
)


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
    overlaps = [best_iou(box, b) for box in a] + [best_iou(box, a) for box in b]
    return math.fsum(overlaps) / len(overlaps)


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


def _grouped(items: Iterable[Item], key: Callable[[Item], K | None]) -> dict[K, list[Item]]:
    groups: dict[K, list[Item]] = defaultdict(list)
    for item in items:
        if (name := key(item)) is not None:
            groups[name].append(item)
    return groups


def _flat(box: Box) -> bool:
    return box[2] <= box[0] or box[3] <= box[1]


@lru_cache(maxsize=65536)  # several checks ask for the same boxes
def _rounded(box: Box) -> Box:
    return round(box[0], 4), round(box[1], 4), round(box[2], 4), round(box[3], 4)


def _middle(box: Box) -> Point:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
