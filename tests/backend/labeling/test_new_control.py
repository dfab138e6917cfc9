"""A new control is one file: found by itself, written, answered with, and read back for QA."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.label_studio.connections import Connections
from backend.labeling import controls
from backend.labeling.config import parse_labeling
from backend.labeling.forms import control_forms, kinds_by_tag
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.interactive import suggest
from backend.prediction.predict import predict_many
from backend.prediction.task_fields import Project
from backend.qa.events import Changes, read_annotation
from backend.qa.scoring import score_task
from backend.qa.suspects import audit_items
from backend.settings import Settings
from tests.fakes import FakeGrounder
from tests.images import image_url
from tests.qa_events import annotation

VECTOR = '''"""Vector and VectorLabels: a line across the box of the action."""

from backend.labeling.forms import ControlForm
from backend.labeling.regions import box_label, box_of, image_regions, to_percent_point
from backend.labeling.shapes import Shape, percent


def _write(found, control):
    x1, y1, x2, y2 = box_of(found, control)
    ends = [to_percent_point((x1, y1)), to_percent_point((x2, y2))]
    value = {"vertices": ends, "closed": False}
    return image_regions(found, control, value, box_label(found, control))


def _read(value, size_wh):
    ends = [(percent(end.get("x")), percent(end.get("y"))) for end in value.get("vertices") or []]
    if len(ends) < 2 or any(None in end for end in ends):
        return None
    xs, ys = ([number / 100 for number in numbers] for numbers in zip(*ends))
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return Shape("box", ((left, top), (right, top), (right, bottom), (left, bottom)))


CONTROL = ControlForm(
    tags={"vector": None, "vectorlabels": "label"},
    on=frozenset({"image"}),
    write=_write,
    shape="box",
    read=_read,
)
'''
CONFIG = (
    '<View><Image name="picture" value="$shot"/><Text name="said" value="$words"/>'
    '<VectorLabels name="c" toName="picture" smart="true">'
    '<Label value="tool"/><Label value="tomato"/></VectorLabels></View>'
)
TASK = {"id": 7, "data": {"shot": image_url(64, 48), "words": "cut tomato"}}


def forget() -> None:
    """What was found and parsed before."""
    for cached in (control_forms, kinds_by_tag, parse_labeling):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules belong to the controls until the test ends."""
    monkeypatch.setattr(controls, "__path__", [*controls.__path__, str(tmp_path)])
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def predict(media: Media) -> dict[str, Any]:
    labeling = parse_labeling(CONFIG)
    assert labeling.problems == labeling.notes == ()
    project = Project(1, CONFIG, labeling, "v1")
    [outcome] = predict_many([TASK], project, batcher=Batcher(FakeGrounder()), media=media)
    assert outcome.error is None
    assert outcome.prediction is not None
    return outcome.prediction


@pytest.fixture
def media(tmp_path: Path) -> Media:
    settings = Settings(data_dir=tmp_path)
    return Media(settings, Connections(settings))


def test_without_its_file_the_control_is_left_alone() -> None:
    assert "vector" not in kinds_by_tag()
    labeling = parse_labeling(CONFIG)
    assert "no such region can be grounded" in labeling.notes[0]


def test_from_the_config_to_the_figures_of_a_correction(folder: Path, media: Media) -> None:
    (folder / "vector.py").write_text(VECTOR)
    predicted = predict(media)
    [region] = predicted["result"]
    assert (region["type"], region["value"]["vectorlabels"]) == ("vectorlabels", ["tomato"])
    assert region["value"]["vertices"] == [{"x": 40.0, "y": 15.0}, {"x": 60.0, "y": 35.0}]

    moved = {**region["value"], "vertices": [{"x": 45.0, "y": 15.0}, {"x": 65.0, "y": 35.0}]}
    corrected = annotation(1, [{**region, "value": moved}], parent_prediction=7)
    corrected["prediction"] = {"id": 7, **predicted}
    changes = Changes()
    read_annotation(corrected, changes, "2026-11-24T00:00:00.000000Z", 1, 7, "0")
    annotations = [{**row, "deleted_at": None} for row in changes.annotations]
    scored = score_task(None, annotations, changes.predictions)
    scores = [{**row, **row["data"]} for row in scored]
    [figures] = [row for row in scores if row["kind"] == "box"]
    assert (figures["outcome"], figures["hit"]) == ("moved", True)
    assert figures["iou"] == pytest.approx(0.6, abs=1e-6)
    [item] = audit_items([], annotations, scores)
    assert item.boxes == (pytest.approx((0.45 * 64, 0.15 * 48, 0.65 * 64, 0.35 * 48)),)
    assert item.label == "tomato"


def test_a_click_beside_it_is_answered_with_it_too(folder: Path, media: Media) -> None:
    (folder / "vector.py").write_text(VECTOR)
    config = CONFIG.replace("</View>", '<KeyPoint name="k" toName="picture" smart="true"/></View>')
    project = Project(1, config, parse_labeling(config), "v1")
    click = {
        "id": "c1", "type": "keypoint", "from_name": "k", "to_name": "picture",
        "value": {"x": 80.0, "y": 80.0, "width": 0.3},
    }  # fmt: skip
    answer = suggest(TASK, [click], project, batcher=Batcher(FakeGrounder()), media=media)
    assert [region["type"] for region in answer["result"]] == ["vectorlabels", "keypoint"]


def test_two_files_for_one_tag_are_refused(folder: Path) -> None:
    (folder / "line.py").write_text(VECTOR)
    (folder / "vector.py").write_text(VECTOR)
    with pytest.raises(RuntimeError, match="vector is filled by controls line and vector"):
        parse_labeling(CONFIG)
