"""Predictions in files: kept ones and those of other systems."""

import json

import pytest

from tests.videogem.evaluation.items import item
from videogem.errors import InputError
from videogem.evaluation import Prediction
from videogem.evaluation.files import (
    PredictionFiles,
    annotation_row,
    as_row,
    read_predictions,
)


def test_kept_predictions_come_back_and_stale_ones_do_not(tmp_path):
    items = [item("a"), item("b")]
    files = PredictionFiles(tmp_path, items)
    kept = [Prediction("a", (0.1, 0.7), (0.0, 0.5, 0.3, 1.0), 0.5), Prediction("b", None, None)]
    files.add("jsonl", "v/1", kept[:1])
    path = files.path("jsonl", "v/1")
    path.write_bytes(path.read_bytes() + b'{"id": "b", "poi')  # as a kill leaves it
    files.add("jsonl", "v/1", kept[1:])
    found = files.load("jsonl", "v/1")
    assert found["b"] == kept[1]
    assert found["a"].point == pytest.approx(kept[0].point)
    assert files.load("jsonl", "v/2") == {}
    changed = [item("a", narration="other words"), items[1]]
    assert sorted(PredictionFiles(tmp_path, changed).load("jsonl", "v/1")) == ["b"]


def test_other_systems_predictions(tmp_path):
    items = [item("a"), item("b")]
    path = tmp_path / "p.jsonl"
    lines = [
        {"id": "a", "point": [30, 15], "box": None, "score": 0.4},
        {"id": "b", "point": None, "box": [20, 10, 60, 30]},
        {"id": "elsewhere", "point": [1, 1]},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    found = read_predictions(path, items)
    assert found["a"].point == (0.3, 0.3)
    assert found["b"].box == pytest.approx((0.2, 0.2, 0.6, 0.6))
    assert sorted(found) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1 is no prediction"),
        ('{"id": "a", "point": [1]}', "line 1 is no prediction"),
        ('{"id": "a"}\n{"id": "a"}', "second time"),
        ('{"id": "x"}', "ids are like 'a'"),
    ],
)
def test_bad_predictions_say_where(tmp_path, content, message):
    path = tmp_path / "p.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_predictions(path, [item("a")])
    with pytest.raises(InputError, match="no predictions file"):
        read_predictions(tmp_path / "gone", [item("a")])


def test_rows_for_other_tools_are_in_pixels():
    one = item("a")
    assert annotation_row(one)["boxes"] == [pytest.approx([20, 10, 60, 30])]
    row = as_row(Prediction("a", (0.5, 0.5), (0.0, 0.0, 1.0, 1.0)), one)
    assert (row["point"], row["box"], row["size"]) == ([50, 25], [0, 0, 100, 50], [100, 50])
