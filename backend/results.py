"""Grounding -> Label Studio regions: the only place with percent and 1-based frames."""

import hashlib
from collections.abc import Iterable
from typing import Any

from backend.labeling import Control
from backend.labels import BOX_FALLBACK, Similarity, choose_label, parts_to_point
from videogem.structures import Box, Grounding, Point, PromptName

Region = dict[str, Any]
MARKER_WIDTH = 1.0  # percent of the image's width: how large Label Studio draws a point
DIGITS = 4  # of a percentage: 0.0001 % of an 8K frame is a hundredth of a pixel


def to_regions(
    grounding: Grounding,
    control: Control,
    *,
    key: str,
    similarity: Similarity | None = None,
    item_index: int | None = None,
) -> list[Region]:
    """The regions of one control of an image for one grounding.

    ``key`` names task, item and narration: equal keys give equal region ids.
    """
    if control.kind == "keypoint":
        return _points(grounding, control, key, similarity, item_index)
    if control.kind == "rectangle":
        return [_rectangle(grounding, control, key, similarity, item_index)]
    return []


def _points(
    grounding: Grounding,
    control: Control,
    key: str,
    similarity: Similarity | None,
    item_index: int | None,
) -> list[Region]:
    regions = []
    for part in parts_to_point(control, grounding):
        point = grounding.point if part == "action" else grounding.points[part]
        value = {**to_percent_point(point), "width": MARKER_WIDTH}
        label = choose_label(control.labels, part, grounding, similarity)
        region = _region(grounding, control, f"{key}:{part}", value, label, item_index)
        regions.append(region)
    return regions


def _rectangle(
    grounding: Grounding,
    control: Control,
    key: str,
    similarity: Similarity | None,
    item_index: int | None,
) -> Region:
    value = {**to_percent_box(grounding.box), "rotation": 0}
    part: PromptName = "action"
    label = choose_label(control.labels, part, grounding, similarity, fallback=BOX_FALLBACK[1:])
    return _region(grounding, control, f"{key}:{part}", value, label, item_index)


def _region(
    grounding: Grounding,
    control: Control,
    key: str,
    value: dict[str, Any],
    label: str | None,
    item_index: int | None,
) -> Region:
    width, height = grounding.size_wh
    region: Region = {
        "id": region_id(grounding.model_version, control.name, key),
        "from_name": control.name,
        "to_name": control.to_name,
        "type": control.type,
        "value": value if label is None else {**value, control.type: [label]},
        "score": round(grounding.score, 6),
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
    if item_index is not None:
        region["item_index"] = item_index
    return region


def region_id(*parts: str) -> str:
    """The same region gets the same id in every run, as Label Studio keeps it in annotations."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:10]


def to_percent_point(point: Point) -> dict[str, float]:
    """A point of [0, 1] as Label Studio's percentages.

    >>> to_percent_point((0.25, 1.0))
    {'x': 25.0, 'y': 100.0}
    """
    return {"x": _percent(point[0]), "y": _percent(point[1])}


def to_percent_box(box: Box) -> dict[str, float]:
    """A box of [0, 1], corner to corner, as Label Studio's percentages of corner and size.

    >>> to_percent_box((0.1, 0.2, 0.4, 1.0))
    {'x': 10.0, 'y': 20.0, 'width': 30.0, 'height': 80.0}
    """
    left, top, right, bottom = (_percent(edge) for edge in box)
    return {
        "x": left,
        "y": top,
        "width": round(right - left, DIGITS),
        "height": round(bottom - top, DIGITS),
    }


def mean_score(scores: Iterable[float]) -> float:
    """The score of a whole prediction: the mean of its groundings, 0 where there are none."""
    values = list(scores)
    return round(sum(values) / len(values), 6) if values else 0.0


def _percent(share: float) -> float:
    return round(min(max(float(share), 0.0), 1.0) * 100, DIGITS)
