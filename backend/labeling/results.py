"""Groundings -> Label Studio regions: the only place with percent and 1-based frames."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backend.labeling.controls import Control, ControlKind, LabelMeaning, Target
from backend.labeling.labels import (
    BOX_FALLBACK,
    Similarity,
    choose_choices,
    choose_label,
    parts_to_point,
)
from backend.labeling.masks import DEFAULT_LEVEL, MAP_WEIGHTS, action_mask, bitmask_url, brush_rle
from videogem.method.boxes import action_box
from videogem.structures import Box, Grounding, Point

Region = dict[str, Any]
MARKER_WIDTH = 1.0  # percent of the image's width: how large Label Studio draws a point
POINT_BOX = 0.01  # half the side of the box that stands for a point in a video
SEEK_AHEAD = 0.002  # seconds Label Studio seeks past a frame's start
DIGITS = 4  # of a percentage: 0.0001 % of an 8K frame is a hundredth of a pixel


@dataclass(frozen=True, eq=False)
class Found:
    """One grounding of a task, and what is needed to write it down.

    ``key`` names task, item and narration: equal keys give equal region ids.
    """

    grounding: Grounding
    key: str
    labels_are: LabelMeaning = "narration"
    item_index: int | None = None
    similarity: Similarity | None = None
    boxes: Mapping[str, Box] = field(default_factory=dict)  # by control, once the heatmaps are gone

    def label(self, control: Control, part: Any = "action", fallback: Any = ()) -> str | None:
        """The label of one part, None where the control has none."""
        return choose_label(
            control.labels, part, self.grounding, self.similarity, fallback=fallback
        )


def to_regions(found: Found, controls: Sequence[Control]) -> list[Region]:
    """The regions of an image's controls for one grounding."""
    regions: list[Region] = []
    for control in controls:
        if not _meant_for(found, control):
            continue
        if found.grounding.score < float(control.options.get("model_score_threshold", 0.0)):
            continue
        if (write := _WRITERS.get(control.kind)) is not None:
            regions += write(found, control)
    _attach_per_region(regions, controls)
    return regions


def _meant_for(found: Found, control: Control) -> bool:
    """Where labels are actions, a control without the grounded action gets nothing."""
    if found.labels_are != "actions" or not control.labels:
        return True
    return any(label.value == found.grounding.narration for label in control.labels)


def _points(found: Found, control: Control) -> list[Region]:
    grounding = found.grounding
    if found.labels_are == "actions":
        return _point(found, control, "action", grounding.point, grounding.narration)
    regions = []
    for part in parts_to_point(control, grounding):
        point = grounding.point if part == "action" else grounding.points[part]
        regions += _point(found, control, part, point, found.label(control, part))
    return regions


def _point(
    found: Found, control: Control, part: str, point: Point, label: str | None
) -> list[Region]:
    value = {**to_percent_point(point), "width": MARKER_WIDTH}
    return _image_regions(found, control, value, label, part=part)


def _rectangles(found: Found, control: Control) -> list[Region]:
    value = {**to_percent_box(box_of(found, control)), "rotation": 0}
    return _image_regions(found, control, value, _box_label(found, control))


def without_heatmaps(found: Found, controls: Sequence[Control]) -> Found:
    """What a track keeps of a key frame: its boxes, as an hour of heatmaps fits into no memory."""
    boxes = {control.name: box_of(found, control) for control in controls}
    bare = replace(found.grounding, heatmaps=found.grounding.heatmaps[:, :0, :0].copy())
    return replace(found, grounding=bare, boxes=boxes)


def box_of(found: Found, control: Control) -> Box:
    """The method's own box, or one at the threshold the config asks for."""
    if control.name in found.boxes:
        return found.boxes[control.name]
    grounding = found.grounding
    threshold = control.options.get("model_box_threshold")
    if threshold is None:
        return grounding.box
    return action_box(grounding.heatmaps, MAP_WEIGHTS, float(threshold))


def _box_label(found: Found, control: Control) -> str | None:
    if found.labels_are == "actions":
        return found.grounding.narration if control.labels else None
    return found.label(control, "action", BOX_FALLBACK[1:])


def _mask(found: Found, control: Control) -> Any:
    level = float(control.options.get("model_mask_threshold", DEFAULT_LEVEL))
    return action_mask(found.grounding.heatmaps, found.grounding.size_wh, level=level)


def _brushes(found: Found, control: Control) -> list[Region]:
    value = {"format": "rle", "rle": brush_rle(_mask(found, control))}
    return _image_regions(found, control, value, _box_label(found, control))


def _bitmasks(found: Found, control: Control) -> list[Region]:
    value = {"format": "png", "imageDataURL": bitmask_url(_mask(found, control))}
    return _image_regions(found, control, value, _box_label(found, control))


def _texts(found: Found, control: Control) -> list[Region]:
    prompts = found.grounding.prompts
    sentences = {"verb": prompts.verb, "object": prompts.object, "action": prompts.action}
    parts = control.options.get("model_prompts", ("action",))
    return [_plain_region(found, control, {"text": [sentences[part] for part in parts]})]


def _choices(found: Found, control: Control) -> list[Region]:
    chosen = choose_choices(control, found.grounding, found.similarity)
    return [_plain_region(found, control, {"choices": chosen})] if chosen else []


_WRITERS: dict[ControlKind, Callable[[Found, Control], list[Region]]] = {
    "keypoint": _points,
    "rectangle": _rectangles,
    "brush": _brushes,
    "bitmask": _bitmasks,
    "textarea": _texts,
    "choices": _choices,
}


def _image_regions(
    found: Found,
    control: Control,
    value: dict[str, Any],
    label: str | None,
    *,
    part: str = "action",
) -> list[Region]:
    """One region; a separate Labels control labels it by a second entry with the same id."""
    width, height = found.grounding.size_wh
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    region = {**_plain_region(found, control, value, part=part), **size}
    if label is None:
        return [region]
    if control.labels_name is None:
        value[control.type] = [label]
        return [region]
    label_value = {**value, "labels": [label]}
    labelled = {**region, "from_name": control.labels_name, "type": "labels", "value": label_value}
    return [region, labelled]


def _plain_region(
    found: Found, control: Control, value: dict[str, Any], *, part: str = "action"
) -> Region:
    region: Region = {
        "id": region_id(found.grounding.model_version, control.name, found.key, part),
        "from_name": control.name,
        "to_name": control.to_name,
        "type": control.type,
        "value": value,
        "score": round(found.grounding.score, 6),
    }
    if found.item_index is not None:
        region["item_index"] = found.item_index
    if len(found.grounding.window) > 1:
        seen = ", ".join(f"{time:.3f}" for time in found.grounding.window)
        region["meta"] = {"text": [f"The model looked at {seen} s."]}
    return region


@dataclass(frozen=True)
class Shown:
    """How Label Studio counts a video's frames: by the configured rate, whatever the file has."""

    framerate: float
    duration: float  # seconds

    def frame(self, time: float) -> int:
        """The first 1-based frame at which Label Studio shows what the video shows at a time.

        >>> Shown(25.0, 10.0).frame(0.0), Shown(25.0, 10.0).frame(0.04), Shown(25.0, 10.0).frame(99)
        (1, 2, 250)
        """
        frame = math.ceil((time - SEEK_AHEAD) * self.framerate) + 1
        return min(max(frame, 1), self.num_frames)

    @property
    def num_frames(self) -> int:
        """How many frames Label Studio counts."""
        return max(1, round(self.duration * self.framerate))


def to_video_regions(
    track: Sequence[Found], start: float, end: float, shown: Shown, target: Target
) -> list[Region]:
    """The regions of a video's controls for one narrated moment, grounded at its key frames."""
    best = max(track, key=lambda found: found.grounding.score)
    score = mean_score(found.grounding.score for found in track)
    regions: list[Region] = []
    for control in target.controls:
        if not _meant_for(best, control):
            continue
        if score < float(control.options.get("model_score_threshold", 0.0)):
            continue
        label = _box_label(best, control)
        if control.kind == "videorectangle":
            value: dict[str, Any] = {
                "sequence": _sequence(track, control, shown),
                "framesCount": shown.num_frames,
                "duration": round(shown.duration, 3),
            }
            key = "labels"
        elif control.kind == "timeline":
            value = {"ranges": [{"start": shown.frame(start), "end": shown.frame(end)}]}
            key = control.type
        else:
            continue
        if label is not None:
            value[key] = [label]
        regions.append({**_plain_region(best, control, value), "score": score})
    return regions


def _sequence(track: Sequence[Found], control: Control, shown: Shown) -> list[dict[str, Any]]:
    """Key frames as Label Studio needs them (PROTOCOL.md): numbered from 1, rising, with
    ``enabled`` and ``rotation``; the last one ends the box, which would stay for ever otherwise.
    """
    steps: dict[int, dict[str, Any]] = {}
    for found in track:
        box = box_of(found, control)
        if control.options.get("model_output") == "point":
            box = _box_round(found.grounding.point)
        frame = shown.frame(found.grounding.time)
        time = round((frame - 1) / shown.framerate, 3)  # for readers; only `frame` is trusted
        step = {"frame": frame, "time": time, "enabled": True, "rotation": 0}
        steps.setdefault(frame, {**step, **to_percent_box(box)})
    sequence = [steps[frame] for frame in sorted(steps)]
    sequence[-1]["enabled"] = False
    return sequence


def _box_round(point: Point) -> Box:
    """A point as a small box, because Label Studio has no points on videos."""
    x, y = (min(max(float(share), POINT_BOX), 1 - POINT_BOX) for share in point)
    return x - POINT_BOX, y - POINT_BOX, x + POINT_BOX, y + POINT_BOX


def _attach_per_region(regions: list[Region], controls: Sequence[Control]) -> None:
    """A TextArea or Choices with perRegion belongs to a region: it shares the first one's id."""
    drawn = next((region for region in regions if "original_width" in region), None)
    names = {control.name for control in controls if control.per_region}
    for region in regions:
        if drawn is not None and region["from_name"] in names:
            region["id"] = drawn["id"]


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


def from_percent(number: float) -> float:
    """Label Studio's percentage as a share in [0, 1]."""
    return min(max(float(number) / 100, 0.0), 1.0)


def mean_score(scores: Iterable[float]) -> float:
    """The score of a whole prediction: the mean of its groundings, 0 where there are none."""
    values = list(scores)
    return round(sum(values) / len(values), 6) if values else 0.0


def _percent(share: float) -> float:
    return round(min(max(float(share), 0.0), 1.0) * 100, DIGITS)
