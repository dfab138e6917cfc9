"""The validator: what Label Studio's SDK catches, and what it misses."""

import copy
from typing import Any

import pytest

from backend.labeling.config import parse_labeling
from backend.labeling.validation import problems_of

CONFIG = """<View>
  <Image name="i" value="$i"/><Text name="t" value="$t"/><Video name="v" value="$v"/>
  <KeyPointLabels name="k" toName="i"><Label value="a"/></KeyPointLabels>
  <RectangleLabels name="r" toName="i"><Label value="a"/></RectangleLabels>
  <VideoRectangle name="b" toName="v"/><Labels name="l" toName="v"><Label value="a"/></Labels>
</View>"""
SIZE = {"original_width": 64, "original_height": 48, "image_rotation": 0}
STEP = {"x": 1, "y": 1, "width": 5, "height": 5, "rotation": 0, "enabled": True, "time": 0.0}
GOOD: dict[str, dict[str, Any]] = {
    "k": {
        "id": "1", "from_name": "k", "to_name": "i", "type": "keypointlabels", "score": 0.5,
        "value": {"x": 1, "y": 2, "width": 1, "keypointlabels": ["a"]}, **SIZE,
    },
    "r": {
        "id": "2", "from_name": "r", "to_name": "i", "type": "rectanglelabels", "score": 0.5,
        "value": {"x": 60, "y": 2, "width": 40, "height": 9, "rotation": 0,
                  "rectanglelabels": ["a"]}, **SIZE,
    },
    "b": {
        "id": "3", "from_name": "b", "to_name": "v", "type": "videorectangle", "score": 0.5,
        "value": {"framesCount": 9, "duration": 1.0, "labels": ["a"],
                  "sequence": [{**STEP, "frame": 1}, {**STEP, "frame": 3}]},
    },
}  # fmt: skip


def problems(name: str, **changes: Any) -> list[str]:
    """``value__x=5`` changes the region's value, ``step__x=5`` the last key frame."""
    region = copy.deepcopy(GOOD[name])
    for path, value in changes.items():
        where, _, key = path.partition("__")
        if where == "step":
            region["value"]["sequence"][-1][key] = value
        elif key:
            region[where][key] = value
        else:
            region[where] = value
    prediction = {"result": [region], "score": 0.5, "model_version": "v"}
    return problems_of(prediction, CONFIG, parse_labeling(CONFIG))


@pytest.mark.parametrize("name", GOOD)
def test_good_regions_pass(name: str) -> None:
    assert problems(name) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("k", {"value__keypointlabels": ["b"]}),
        ("k", {"value__x": 100.1}),
        ("k", {"value__x": -0.1}),
        ("k", {"value__x": float("nan")}),
        ("k", {"from_name": "nobody"}),
        ("k", {"type": "rectanglelabels"}),
        ("r", {"value__width": 41}),  # x + width beyond the frame
        ("r", {"value__height": 99}),
        ("b", {"value__labels": ["b"]}),  # unknown label of a video region
        ("b", {"step__frame": 1}),  # not rising
        ("b", {"step__frame": 0}),
        ("b", {"step__x": 97}),
        ("b", {"step__x": -5}),
        ("b", {"step__y": 400}),
    ],
)
def test_bad_regions_do_not(name: str, changes: dict[str, Any]) -> None:
    assert problems(name, **changes)


def test_labels_that_have_a_name_are_labels() -> None:
    config = CONFIG.replace('<Label value="a"/>', '<Label name="x" value="a"/>')
    prediction = {"result": [copy.deepcopy(GOOD["k"])], "score": 0.5, "model_version": "m"}
    assert problems_of(prediction, config, parse_labeling(config)) == []
