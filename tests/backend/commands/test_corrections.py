"""Which boxes `videogem calibrate` learns from, and what it says of the others."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backend.commands.support.corrections import Corrections
from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.images import image_url
from videogem.calibration.candidates import Sample
from videogem.datasets.base import ReadOptions

CONFIG = (
    '<View><Image name="i" value="$shot"/><Text name="t" value="$said"/>'
    '<Rectangle name="r" toName="i"/></View>'
)
NO_PLACE = "box without an extent inside the frame"
UNSEEN = "no annotation that was drawn without a prediction in sight"


def box(x: float, **fields: Any) -> dict[str, Any]:
    value = {"x": x, "y": 10.0, "width": 20.0, "height": 30.0, "rotation": 0}
    region = {"id": f"b{x}", "from_name": "r", "to_name": "i", "type": "rectangle", "value": value}
    return region | {"original_width": 64, "original_height": 48} | fields


def annotation(number: int, *regions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": number, "result": list(regions), **fields}


def task(*annotations: dict[str, Any], said: str = "cut tomato") -> dict[str, Any]:
    shot = image_url(64, 48)
    return {"id": 1, "data": {"shot": shot, "said": said}, "annotations": list(annotations)}


def read(tmp_path: Path, *tasks: dict[str, Any]) -> tuple[list[Sample], dict[str, int]]:
    settings = Settings(data_dir=tmp_path)
    media = Media(settings, Connections(settings))
    project = Project(1, CONFIG, parse_labeling(CONFIG), "v1")
    corrections = Corrections()
    found = list(corrections.of_project(tasks, project, media, 1))
    return found, dict(corrections.left_out)


def test_a_box_drawn_without_a_prediction_is_one(tmp_path: Path) -> None:
    ([sample], left_out) = read(tmp_path, task(annotation(1, box(5.0), box(50.0))))
    assert sample.narration == "cut tomato"
    assert sample.boxes[0] == pytest.approx((0.05, 0.1, 0.25, 0.4))
    assert len(sample.boxes) == 2
    assert sample.clip.size_wh == (64, 48)
    assert left_out == {}


@pytest.mark.parametrize(
    "biased",
    [
        annotation(1, box(5.0), parent_prediction=7),
        annotation(1, box(5.0, origin="prediction-changed")),
        annotation(1, box(5.0), was_cancelled=True),
    ],
)
def test_what_was_drawn_with_a_prediction_in_sight_is_left_out_and_counted(
    tmp_path: Path, biased: dict[str, Any]
) -> None:
    assert read(tmp_path, task(biased)) == ([], {UNSEEN: 1})
    [sample], _ = read(tmp_path, task(biased, annotation(2, box(60.0))))
    assert sample.boxes[0][0] == pytest.approx(0.6)


def test_ground_truth_goes_before_all_others(tmp_path: Path) -> None:
    truth = annotation(1, box(5.0), parent_prediction=7, ground_truth=True)
    [sample], _ = read(tmp_path, task(truth, annotation(2, box(60.0))))
    assert sample.boxes[0][0] == pytest.approx(0.05)


def test_what_cannot_be_used_has_its_reason(tmp_path: Path) -> None:
    found, left_out = read(tmp_path, task(annotation(1)), task(annotation(2, box(5.0)), said=""))
    assert found == []
    assert left_out.pop("no box") == 1
    [(reason, number)] = left_out.items()
    assert "narration" in reason and number == 1


def test_a_box_that_no_point_could_hit_is_no_correction(tmp_path: Path) -> None:
    # Each would count as a miss, whatever was predicted: width and height in place of the far
    # corner, pixels of another size, a click without a drag.
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    good, upside_down, elsewhere, dot = [5, 5, 30, 30], [40, 30, 20, 10], [70, 5, 90, 30], [5] * 4
    lines = [[good], [upside_down], [elsewhere], [dot], [good, dot], [[5, 5, 90, 30]]]
    path = tmp_path / "boxes.jsonl"
    path.write_text(
        "".join(
            json.dumps({"image": "a.png", "narration": "cut tomato", "boxes": boxes}) + "\n"
            for boxes in lines
        )
    )
    corrections = Corrections()
    found = list(corrections.of_file(path, ReadOptions(annotations=path), 1))
    assert [len(sample.boxes) for sample in found] == [1, 1, 1]
    assert found[2].boxes[0][2] == pytest.approx(90 / 64)  # reaches beyond the frame: still a box
    assert dict(corrections.left_out) == {NO_PLACE: 4}


def test_of_a_project_neither(tmp_path: Path) -> None:
    found, left_out = read(tmp_path, task(annotation(1, box(5.0) | _sized(0.0, 30.0))))
    assert (found, left_out) == ([], {NO_PLACE: 1})


def _sized(width: float, height: float) -> dict[str, Any]:
    return {"value": {"x": 5.0, "y": 10.0, "width": width, "height": height, "rotation": 0}}
