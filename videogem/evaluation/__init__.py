"""How well systems point: predictions for a dataset's items, scored with one ruler.

A system is anything that answers items with points and boxes; scoring knows nothing of towers or
files. The parts around this: ``tower`` computes many methods from one pass of the image tower,
``run`` does so for a dataset, ``files`` keeps and reads predictions, ``compare`` says whether one
run is better than another, ``paper`` and ``report`` make tables.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from videogem.datasets.base import Item
from videogem.datasets.media import load_clip
from videogem.errors import InputError
from videogem.metrics import (
    Share,
    accuracy_by_label,
    best_iou,
    hit,
    macro_accuracy,
    pointing_accuracy,
)
from videogem.structures import Box, Clip, Point

Rule = Literal["exact", "grid"]


@dataclass(frozen=True)
class Prediction:
    """What a system answered for one item; None where it answered nothing."""

    id: str
    point: Point | None
    box: Box | None
    score: float | None = None


@dataclass(frozen=True)
class Skipped:
    """An item that could not be used, and why."""

    id: str
    reason: str


Answers = tuple[list[list[Prediction]], list[Skipped]]  # of each method; what was left out


def read_clips(
    items: Sequence[Item], num_frames: int, skipped: list[Skipped], *, repeat_target: bool = False
) -> tuple[list[Item], list[Clip]]:
    """The items whose frames can be read, and their clips; the others are noted as skipped.

    Items of one frame share one clip object, so that it is decoded and encoded once.
    """

    def read(item: Item) -> Clip | InputError:
        try:
            return load_clip(item, num_frames, repeat_target=repeat_target)
        except InputError as error:
            return error

    sources = {source_key(item): item for item in items}
    with ThreadPoolExecutor(max_workers=4) as pool:  # decoding releases the interpreter's lock
        found = dict(zip(sources, pool.map(read, sources.values()), strict=True))
    readable: list[Item] = []
    clips: list[Clip] = []
    for item in items:
        clip = found[source_key(item)]
        if isinstance(clip, Clip):
            readable.append(item)
            clips.append(clip)
        else:
            skipped.append(Skipped(item.id, str(clip)))
    return readable, clips


def source_key(item: Item) -> tuple[object, ...]:
    """Equal for items whose clips are the same."""
    image = id(item.image) if isinstance(item.image, np.ndarray) else item.image
    return (image, item.window, item.video_path, item.time, item.step, item.missing)


@dataclass(frozen=True)
class Outcome:
    """How one prediction fares against one item's boxes."""

    id: str
    label: str
    hit: bool
    iou: float | None  # None where the system gives no boxes
    cluster: str  # the video, whose frames are alike; the item itself where none is known


@dataclass(frozen=True)
class Row:
    """One method on one dataset."""

    dataset: str
    model: str
    method: str
    share: Share
    macro: float | None
    by_label: Mapping[str, Share]
    box_iou: float | None
    outcomes: tuple[Outcome, ...]
    num_missing: int = 0  # items without a prediction: misses, or left out if that was asked for

    @property
    def num_clusters(self) -> int:
        """Videos, scenes or single frames the interval is over."""
        return len({outcome.cluster for outcome in self.outcomes})

    def as_json(self) -> dict[str, object]:
        """The row as ``videogem evaluate --json`` prints it; shares in 0..1."""
        return {
            "method": self.method,
            "model": self.model,
            "accuracy": self.share.accuracy,
            "low": self.share.low,
            "high": self.share.high,
            "n": self.share.n,
            "box_iou": self.box_iou,
        }


def score(
    items: Sequence[Item],
    predictions: Mapping[str, Prediction],
    *,
    dataset: str,
    model: str,
    method: str,
    rule: Rule = "exact",
    allow_missing: bool = False,
) -> Row:
    """Score one method.

    An item without a prediction is a miss: a system that leaves out what it cannot do would look
    better than it is. With ``allow_missing`` such items are left out instead; either way their
    number is told. ``exact`` tests the point in floats, ``grid`` as the reference does: point and
    boxes on its integer grid of 224 x 224.
    """
    asked = [item for item in items if item.id in predictions or not allow_missing]
    gives_boxes = any(predictions[i.id].box is not None for i in items if i.id in predictions)
    outcomes = tuple(
        _outcome(item, predictions.get(item.id, Prediction(item.id, None, None)), rule, gives_boxes)
        for item in asked
    )
    ious = [outcome.iou for outcome in outcomes if outcome.iou is not None]
    clusters = [outcome.cluster for outcome in outcomes]
    by_label = accuracy_by_label((o.hit for o in outcomes), (o.label for o in outcomes), clusters)
    return Row(
        dataset=dataset,
        model=model,
        method=method,
        share=pointing_accuracy((outcome.hit for outcome in outcomes), clusters),
        macro=macro_accuracy(by_label),
        by_label=by_label,
        box_iou=math.fsum(ious) / len(ious) if ious else None,
        outcomes=outcomes,
        num_missing=sum(item.id not in predictions for item in items),
    )


def _outcome(item: Item, prediction: Prediction, rule: Rule, gives_boxes: bool) -> Outcome:  # noqa: FBT001
    point = prediction.point
    if point is None and prediction.box is not None:  # a detector's point is its box's centre
        x1, y1, x2, y2 = prediction.box
        point = (x1 + x2) / 2, (y1 + y2) / 2
    inside = point is not None and (
        hit(point, item.boxes) if rule == "exact" else _hits_on_grid(point, item)
    )
    iou = None if prediction.box is None else best_iou(prediction.box, item.boxes)
    if point is None and gives_boxes:
        iou = 0.0  # it found nothing here, which is no overlap
    return Outcome(item.id, item.label, inside, iou, item.video or item.id)


def _hits_on_grid(point: Point, item: Item) -> bool:
    from videogem.method.quirks import grid_hit  # imports torch, which scoring does not need

    if item.canvas_wh is None:
        return grid_hit(point, item.boxes, (1, 1))
    return grid_hit(point, item.canvas_boxes, item.canvas_wh)
