"""What every control's regions are made of; percent and 1-based frames begin here."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backend.labeling.labels import BOX_FALLBACK, Similarity, choose_label
from backend.labeling.masks import DEFAULT_LEVEL, MAP_WEIGHTS, action_mask
from backend.labeling.targets import Control, LabelMeaning
from videogem.confidence.shipped import UNCALIBRATED
from videogem.method.boxes import action_box
from videogem.structures import Box, Grounding, Point

Region = dict[str, Any]
UNSURE = "Unsure: the verb and the object were not found in one place. Please check."
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


def without_heatmaps(found: Found, controls: Sequence[Control]) -> Found:
    """What a track keeps of a key frame: its boxes, as an hour of heatmaps fits into no memory."""
    boxes = {control.name: box_of(found, control) for control in controls}
    bare = replace(found.grounding, heatmaps=np.empty((3, 0, 0), np.float32))
    return replace(found, grounding=bare, boxes=boxes)


def box_of(found: Found, control: Control) -> Box:
    """The method's own box, or one at the threshold the config asks for."""
    if control.name in found.boxes:
        return found.boxes[control.name]
    grounding = found.grounding
    threshold = control.options.get("model_box_threshold")
    if threshold is None:
        return grounding.box
    return action_box(grounding.heatmaps, MAP_WEIGHTS, float(threshold))[0]


def mask_of(found: Found, control: Control) -> np.ndarray:
    """The action's mask at the threshold the config asks for, bool H W."""
    level = float(control.options.get("model_mask_threshold", DEFAULT_LEVEL))
    return action_mask(found.grounding.heatmaps, found.grounding.size_wh, level=level)


def box_label(found: Found, control: Control) -> str | None:
    """The label of a region that shows the whole action."""
    if found.labels_are == "actions":
        return found.grounding.narration if control.labels else None
    return found.label(control, "action", BOX_FALLBACK[1:])


def image_regions(
    found: Found,
    control: Control,
    value: dict[str, Any],
    label: str | None,
    *,
    part: str = "action",
) -> list[Region]:
    """One region of a frame; a separate Labels control labels it by a second entry of its id."""
    width, height = found.grounding.size_wh
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    region = {**plain_region(found, control, value, part=part), **size}
    if label is None:
        return [region]
    if control.labels_name is None:
        value[control.type] = [label]
        return [region]
    label_value = {**value, "labels": [label]}
    labelled = {**region, "from_name": control.labels_name, "type": "labels", "value": label_value}
    return [region, labelled]


def plain_region(
    found: Found, control: Control, value: dict[str, Any], *, part: str = "action"
) -> Region:
    """A region of the whole task, or what a region of a frame begins with."""
    place = f"{control.name} {control.to_name}" if control.further else control.name
    region: Region = {
        "id": region_id(found.grounding.model_version, place, found.key, part),
        "from_name": control.name,
        "to_name": control.to_name,
        "type": control.type,
        "value": value,
        "score": round(found.grounding.score, 6),
    }
    if found.item_index is not None:
        region["item_index"] = found.item_index
    notes = [UNSURE] if found.grounding.doubtful else []
    if len(found.grounding.window) > 1:
        seen = ", ".join(f"{time:.3f}" for time in found.grounding.window)
        notes.append(f"The model looked at {seen} s.")
    meta: dict[str, Any] = {"text": notes} if notes else {}
    if found.grounding.signals is not None:
        meta["scoring"] = found.grounding.scoring or UNCALIBRATED
        meta["signals"] = found.grounding.signals.as_dict()
    if found.grounding.presence is not None:
        meta["presence"] = round(found.grounding.presence, 6)
    if meta:
        region["meta"] = meta
    return region


def add_note(region: Region, note: str) -> None:
    """Show a note first in the details of a region, unless it is there."""
    told = region.get("meta", {}).get("text", [])
    if note not in told:
        region["meta"] = region.get("meta", {}) | {"text": [note, *told]}


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


@dataclass(frozen=True, eq=False)
class Track:
    """One narrated moment of a video, grounded at its key frames; the time is in seconds."""

    keys: Sequence[Found]
    start: float
    end: float
    shown: Shown

    @property
    def best(self) -> Found:
        """The key with the highest score."""
        return max(self.keys, key=lambda found: found.grounding.score)

    @property
    def score(self) -> float:
        """The mean of the keys' scores."""
        return mean_score(found.grounding.score for found in self.keys)


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
