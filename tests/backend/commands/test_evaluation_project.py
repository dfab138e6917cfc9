import json
import sys

import pytest

from backend import cli
from backend.commands.support import evaluation_project
from backend.label_studio.client import LabelStudio


def box(x, y, width, height, label="action"):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    return region("rectanglelabels", {**value, "rectanglelabels": [label]})


def point(x, y, label="action"):
    return region("keypointlabels", {"x": x, "y": y, "width": 1, "keypointlabels": [label]})


def region(kind, value):
    return {
        "id": f"{kind}{value['x']}",
        "type": kind,
        "from_name": "f",
        "to_name": "image",
        "original_width": 200,
        "original_height": 100,
        "value": value,
    }


def task(id_, *, truth, predictions):
    return {
        "id": id_,
        "data": {"image": f"/data/upload/1/{id_}.png", "narration": "cut tomato"},
        "annotations": [{"id": id_, "result": truth, "was_cancelled": False}] if truth else [],
        "predictions": [
            {"id": number, "model_version": version, "result": result, "score": 0.5}
            for number, (version, result) in enumerate(predictions)
        ],
    }


TASKS = [
    task(
        1,
        truth=[box(10, 10, 40, 40)],
        predictions=[
            ("ours", [point(90, 90)]),  # an older one of the same version
            ("ours", [point(20, 20), box(10, 10, 40, 20)]),
            ("dino", [box(60, 60, 20, 20)]),
        ],
    ),
    task(2, truth=[box(10, 10, 40, 40)], predictions=[("ours", [point(80, 80)])]),
    task(3, truth=None, predictions=[("ours", [point(80, 80)])]),
]


@pytest.fixture
def server(monkeypatch):
    """Label Studio's task list, one task a page."""
    calls = []

    def call(self, method, path, *, params, **_):
        calls.append((method, path, params["project"], params["page"]))
        index = params["page"] - 1
        return {"tasks": TASKS[index : index + 1], "total": len(TASKS)}

    monkeypatch.setattr(LabelStudio, "call", call)
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", "http://localhost:8080")
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "token")
    evaluation_project._tasks.cache_clear()
    yield calls
    evaluation_project._tasks.cache_clear()


def test_a_project_becomes_a_dataset(server):
    dataset = evaluation_project.project_dataset("7")
    assert [item.id for item in dataset.items] == ["1", "2"]
    assert dataset.items[0].boxes[0] == pytest.approx((0.1, 0.1, 0.5, 0.5))
    assert dataset.items[0].narration == "cut tomato"
    assert dataset.reasons(dropped=True) == {"left out by the protocol": 1}
    assert [page for *_, page in server] == [1, 2, 3]


def test_stored_predictions_by_version(server):
    found = evaluation_project.project_predictions("7")
    assert sorted(found) == ["dino", "ours"]
    assert found["ours"]["1"].point == pytest.approx((0.2, 0.2))
    assert found["dino"]["1"].point is None


def in_list(index, region):
    return {**region, "item_index": index}


LISTS = [
    {
        "id": 4,
        "data": {"shots": ["/data/upload/1/a.png", "/data/upload/1/b.png"], "said": "cut tomato"},
        "annotations": [
            {"id": 4, "result": [in_list(0, box(10, 10, 40, 40)), in_list(1, box(50, 50, 40, 40))]}
        ],
        "predictions": [
            {"id": 1, "model_version": "ours", "result": [in_list(1, point(60, 60))]},
        ],
    },
    {"id": 5, "data": {"said": "stir it"}, "annotations": [{"id": 5, "result": []}]},
]


def test_the_frames_of_a_list_are_scored_one_by_one(server, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "TASKS", LISTS)
    dataset = evaluation_project.project_dataset("7")
    assert [(item.id, item.boxes[0][0]) for item in dataset.items] == [("4#0", 0.1), ("4#1", 0.5)]
    assert dataset.notes[0] == "the media is the tasks' field 'shots'"
    assert dataset.reasons(dropped=True) == {"unreadable entry": 1}  # it shows nothing
    found = evaluation_project.project_predictions("7")
    assert list(found["ours"]) == ["4#1"]
    assert found["ours"]["4#1"].point == pytest.approx((0.6, 0.6))


def test_command_scores_every_version(server, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["videogem", "evaluate", "--label-studio", "7", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["ours"]["accuracy"], rows["ours"]["n"]) == (0.5, 2)
    assert rows["ours"]["box_iou"] == pytest.approx(0.5)
    assert (rows["dino"]["accuracy"], rows["dino"]["n"]) == (0.0, 2)  # one unanswered: a miss


def test_without_an_address_the_settings_are_named(monkeypatch, capsys):
    monkeypatch.delenv("VIDEOGEM_LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("VIDEOGEM_LABEL_STUDIO_API_KEY", raising=False)
    evaluation_project._tasks.cache_clear()
    monkeypatch.setattr(sys, "argv", ["videogem", "evaluate", "--label-studio", "7"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "VIDEOGEM_LABEL_STUDIO_API_KEY" in capsys.readouterr().err
