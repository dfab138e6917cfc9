"""Nothing invalid leaves the backend.

Label Studio stores almost anything and then shows nothing, so predictions are checked here: first
by Label Studio's own SDK, then for what that lets pass (PROTOCOL: x + width beyond 100, unknown
labels of video regions, unsorted frames).
"""

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from backend.labeling.tags import read_xml
from backend.labeling.targets import Labeling

PERCENT_KEYS = ("x", "y", "width", "height")
LABEL_TAGS = ("Label", "Choice")
ROUNDING = 1e-3  # percent: sums of rounded numbers


def warm_up() -> None:
    """Import the SDK's parser ahead of the first request: it takes seconds."""
    from label_studio_sdk.label_interface.interface import LabelInterface

    LabelInterface("<View/>")


@lru_cache(maxsize=64)
def _interface(config: str) -> Any:
    from label_studio_sdk.label_interface.interface import LabelInterface

    root = read_xml(config)
    for element in root.iter():
        if element.tag in LABEL_TAGS:  # the SDK loses labels that have a name; nothing asks for it
            element.attrib.pop("name", None)
    return LabelInterface(ElementTree.tostring(root, encoding="unicode"))


def problems_of(prediction: dict[str, Any], config: str, labeling: Labeling) -> list[str]:
    """What is wrong with a prediction; empty where nothing is."""
    return [*_by_sdk(prediction, config), *_missed_by_sdk(prediction, labeling)]


def _by_sdk(prediction: dict[str, Any], config: str) -> list[str]:
    errors = _interface(config).validate_prediction(prediction, return_errors=True)
    return [str(error) for error in errors or []]


def _missed_by_sdk(prediction: dict[str, Any], labeling: Labeling) -> Iterator[str]:
    controls = {control.name: control for target in labeling.targets for control in target.controls}
    for region in prediction["result"]:
        name = region.get("from_name")
        value = region.get("value", {})
        yield from _outside(name, value)
        sequence = value.get("sequence", [])
        for step in sequence:
            yield from _outside(name, step)
        frames = [step.get("frame") for step in sequence]
        if any(frame is None or frame < 1 for frame in frames):
            yield f"{name}: frames count from 1, got {frames}"
        elif any(later <= earlier for earlier, later in itertools.pairwise(frames)):
            yield f"{name}: frames must rise, got {frames}"
        control = controls.get(name)
        if control is not None and control.labels:
            known = {label.value for label in control.labels}
            given = value.get("labels", []) if sequence else value.get(control.type, [])
            for label in given:
                if label not in known:
                    yield f"{name}: the config has no label {label!r}"


def _outside(name: Any, value: dict[str, Any]) -> Iterator[str]:
    for key in PERCENT_KEYS:
        number = value.get(key)
        if number is not None and not (math.isfinite(number) and 0 <= number <= 100):
            yield f"{name}: {key} must be in [0, 100], got {number}"
    for corner, size in (("x", "width"), ("y", "height")):
        # A keypoint's width is the size of its marker, not an extent; it has no height.
        if "height" in value and corner in value and size in value:
            end = value[corner] + value[size]
            if end > 100 + ROUNDING:
                yield f"{name}: {corner} + {size} must be at most 100, got {end}"
