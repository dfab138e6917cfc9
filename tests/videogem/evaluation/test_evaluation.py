"""Scoring: hits, misses, intervals, and the whole way from a folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.fakes import FakeGrounder
from tests.videogem.evaluation.items import item, rows_of
from videogem.datasets.registry import read_dataset
from videogem.evaluation import Prediction, read_clips, score
from videogem.evaluation.report import markdown_table

GOLDEN = json.loads((Path(__file__).parents[2] / "data/golden/boxes.json").read_text())


def test_row_has_exactly_the_promised_fields():
    row = rows_of([item("a"), item("b")], [(0.3, 0.3), (0.9, 0.9)]).as_json()
    assert list(row) == ["method", "model", "accuracy", "low", "high", "n", "box_iou"]
    assert (row["accuracy"], row["n"], row["box_iou"]) == (0.5, 2, None)
    assert 0 < row["low"] < 0.5 < row["high"] < 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_score_agrees_with_a_loop(points):
    items = [item(str(i), label="ab"[i % 2]) for i in range(len(points))]
    row = rows_of(items, points)
    hits = sum(0.2 <= x <= 0.6 and 0.2 <= y <= 0.6 for x, y in points)
    assert row.share.hits == hits
    assert sum(share.n for share in row.by_label.values()) == len(points)


def test_items_without_a_prediction_are_misses_unless_allowed():
    items = [item("a"), item("b"), item("c")]
    predictions = {"a": Prediction("a", (0.3, 0.3), (0.2, 0.2, 0.6, 0.4)), "zz": None}
    names = {"dataset": "d", "model": "m", "method": "x"}
    row = score(items, predictions, **names)
    assert (row.share.hits, row.share.n, row.num_missing) == (1, 3, 2)
    assert row.box_iou == pytest.approx(0.5 / 3)
    row = score(items, predictions, allow_missing=True, **names)
    assert (row.share.hits, row.share.n, row.num_missing) == (1, 1, 2)
    assert row.box_iou == pytest.approx(0.5)


def test_leaving_out_its_misses_does_not_help_a_system():
    items = [item(str(i)) for i in range(10)]
    hits = {str(i): Prediction(str(i), (0.3, 0.3), None) for i in range(5)}
    misses = {str(i): Prediction(str(i), (0.9, 0.9), None) for i in range(5, 10)}
    rows = [
        score(items, found, dataset="d", model="m", method="x") for found in (hits, hits | misses)
    ]
    assert [row.share.accuracy for row in rows] == [0.5, 0.5]
    table = markdown_table(rows)
    assert "without prediction" in table.splitlines()[0]
    assert table.splitlines()[2].endswith("| 10 | 5 |")


def test_frames_of_one_video_give_one_interval():
    items = [item(str(i), video=f"v{i // 20}") for i in range(400)]
    predictions = {
        str(i): Prediction(str(i), (0.3, 0.3) if i // 20 % 2 else (0.9, 0.9), None)
        for i in range(400)
    }
    row = score(items, predictions, dataset="d", model="m", method="x")
    assert row.num_clusters == 20
    assert row.share.high - row.share.low > 0.4  # twenty videos, half of them hit
    assert "intervals are over 20 videos" in markdown_table([row])
    alone = score(
        [item(str(i), video="") for i in range(400)],
        predictions,
        dataset="d",
        model="m",
        method="x",
    )
    assert alone.share.high - alone.share.low < 0.11


def test_a_box_alone_points_at_its_centre_and_nothing_is_a_miss():
    items = [item("a"), item("b")]
    predictions = {
        "a": Prediction("a", None, (0.3, 0.3, 0.5, 0.5)),
        "b": Prediction("b", None, None),
    }
    row = score(items, predictions, dataset="d", model="m", method="x")
    assert [outcome.hit for outcome in row.outcomes] == [True, False]
    assert row.box_iou == pytest.approx(0.125)  # nothing found is no overlap


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_grid_rule_gives_the_reference_hits(case):
    width, height = case["size_wh"]
    x1, y1, x2, y2 = case["box_xyxy"]
    box = (x1 / width, y1 / height, x2 / width, y2 / height)
    published = {"canvas_boxes": (tuple(case["box_xyxy"]),), "canvas_wh": (width, height)}
    items = [item(str(i), boxes=(box,), **published) for i in range(len(case["points"]))]
    points = [((x + 0.5) / 224, (y + 0.5) / 224) for x, y in case["points"]]
    row = rows_of(items, points, rule="grid")
    assert [outcome.hit for outcome in row.outcomes] == case["hit"]


def pointed(items, grounder, skipped):
    """A grounder's predictions by their items' ids."""
    readable, clips = read_clips(items, 1, skipped)
    answers = grounder.ground_batch(clips, [[item.narration] for item in readable])
    return {
        item.id: Prediction(item.id, found.point, found.box, found.score)
        for item, (found,) in zip(readable, answers, strict=True)
    }


def test_what_cannot_be_read_is_told_and_counts_as_missed(tmp_path):
    items = [item(str(i)) for i in range(5)]
    items.append(replace(item("gone"), image=tmp_path / "gone.png"))
    skipped = []
    found = pointed(items, FakeGrounder({"cut 0": (0.9, 0.9)}), skipped)
    assert sorted(found) == ["0", "1", "2", "3", "4"]
    assert [each.id for each in skipped] == ["gone"]
    row = score(items, found, dataset="d", model="m", method="fake")
    assert (row.share.hits, row.share.n, row.num_missing) == (4, 6, 1)


def test_whole_way_on_a_folder_of_json_lines(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    rows = [
        {"image": "a.png", "narration": "cut tomato", "boxes": [[80, 20, 120, 30]], "label": "cut"},
        {"image": "a.png", "narration": "stir soup", "boxes": [[0, 0, 9, 9], [99, 24, 101, 26]]},
        {"image": "a.png", "narration": "pour milk", "boxes": [[0, 0, 9, 9]], "label": "pour"},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "annotations.jsonl").write_text(text)
    dataset = read_dataset("jsonl", tmp_path)
    found = pointed(dataset.items, FakeGrounder(), [])
    row = score(dataset.items, found, dataset="jsonl", model="fake", method="fake")
    assert (row.share.hits, row.share.n) == (2, 3)
    assert row.macro == pytest.approx(2 / 3)
