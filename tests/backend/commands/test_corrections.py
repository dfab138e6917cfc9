"""Which boxes of a project `videogem calibrate` learns from, and what it says of the others."""

from pathlib import Path
from typing import Any

import pytest

from backend.commands.support.corrections import Corrections
from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.images import image_url
from videogem.calibration.candidates import Sample

CONFIG = (
    '<View><Image name="i" value="$shot"/><Text name="t" value="$said"/>'
    '<Rectangle name="r" toName="i"/></View>'
)
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
