import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest

from tests.fakes import FakeGrounder
from videogem.datasets.base import Item, ReadOptions
from videogem.datasets.registry import read_dataset
from videogem.errors import InputError
from videogem.evaluation import Outcome, Prediction, predict_all, read_clips, score
from videogem.evaluation.compare import compare, mcnemar_p_value
from videogem.evaluation.files import (
    PredictionFiles,
    annotation_row,
    as_row,
    read_predictions,
)
from videogem.evaluation.methods import parse_method
from videogem.evaluation.paper import (
    TABLES,
    figure_3_methods,
    model_family,
    published,
    published_accuracy,
    table_methods,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "data/golden/boxes.json").read_text())


def item(id_: str = "a", boxes=((0.2, 0.2, 0.6, 0.6),), **values) -> Item:
    image = np.zeros((50, 100, 3), np.uint8)
    defaults = {"video": "v", "narration": f"cut {id_}", "label": "cut", "size_wh": (100, 50)}
    return Item(id_, boxes=boxes, image=image, **(defaults | values))


def rows_of(items, points, **values):
    predictions = {
        one.id: Prediction(one.id, point, None) for one, point in zip(items, points, strict=True)
    }
    return score(items, predictions, dataset="d", model="m", method="x", **values)


# --- scoring -------------------------------------------------------------------------------------


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


def test_missing_predictions_are_counted_and_not_scored():
    items = [item("a"), item("b"), item("c")]
    predictions = {"a": Prediction("a", (0.3, 0.3), (0.2, 0.2, 0.6, 0.4)), "zz": None}
    row = score(items, predictions, dataset="d", model="m", method="x")
    assert (row.share.n, row.num_missing, row.box_iou) == (1, 2, pytest.approx(0.5))


def test_a_box_alone_points_at_its_centre_and_nothing_is_a_miss():
    items = [item("a"), item("b")]
    predictions = {
        "a": Prediction("a", None, (0.3, 0.3, 0.5, 0.5)),
        "b": Prediction("b", None, None),
    }
    row = score(items, predictions, dataset="d", model="m", method="x")
    assert [outcome.hit for outcome in row.outcomes] == [True, False]
    assert row.box_iou == pytest.approx(0.25)


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


class Predicting:
    """A grounder as a predictor."""

    methods = ("fake",)

    def __init__(self, grounder):
        self.grounder = grounder
        self.skipped = []

    def predict(self, items):
        readable, clips = read_clips(items, 1, self.skipped)
        answers = self.grounder.ground_batch(clips, [[item.narration] for item in readable])
        return [
            [
                Prediction(item.id, found.point, found.box, found.score)
                for item, (found,) in zip(readable, answers, strict=True)
            ]
        ]


def test_anything_that_answers_is_a_predictor(tmp_path):
    items = [item(str(i)) for i in range(5)]
    items.append(item("gone", windowed=True))
    items[-1] = Item(**{**items[-1].__dict__, "image": tmp_path / "gone.png"})
    grounder = FakeGrounder({"cut 0": (0.9, 0.9)})
    predictor = Predicting(grounder)
    done = []
    found = predict_all(items, predictor, batch_size=2, advance=done.append)["fake"]
    assert done == [2, 2, 2]
    assert sorted(found) == ["0", "1", "2", "3", "4"]
    assert [skipped.id for skipped in predictor.skipped] == ["gone"]
    row = score(items, found, dataset="d", model="m", method="fake")
    assert (row.share.hits, row.share.n, row.num_missing) == (4, 5, 1)


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
    found = predict_all(dataset.items, Predicting(FakeGrounder()))["fake"]
    row = score(dataset.items, found, dataset="jsonl", model="fake", method="fake")
    assert (row.share.hits, row.share.n) == (2, 3)
    assert row.macro == pytest.approx(2 / 3)


# --- methods by name -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("videogem", {"weights": "combined", "merge_weights": (0.2, 0.2, 0.6)}),
        ("videogem:static", {"weights": "static"}),
        ("videogem:verb,avg-map", {"merge_weights": (1.0, 0.0, 0.0), "merge": "maps"}),
        ("videogem:merge_weights=1/1/3,depth=6,weights=none", {"depth": 6, "weights": "none"}),
        ("gem:inverse_temperature=15", {"inverse_temperature": 15.0}),
        ("gem:temperature=15", {"inverse_temperature": 15.0}),  # its former name
        ("gem6", {"prompt_weights": (0.0, 0.0, 1.0)}),
        ("videogem:scope=official-eval", {"scope": "official-eval"}),
    ],
)
def test_method_names(text, expected):
    spec = parse_method(text)
    assert spec.name == text
    for name, value in expected.items():
        assert getattr(spec.settings, name) == value


@pytest.mark.parametrize(
    "text", ["gems", "videogem:statics", "videogem:colour=red", "videogem:depth=many", ""]
)
def test_unknown_methods_are_told(text):
    with pytest.raises(InputError):
        parse_method(text)


def test_baselines_use_the_action_prompt_alone():
    for name in ("clip", "maskclip", "clip_surgery", "gem6", "gem"):
        assert parse_method(name).settings.prompt_weights == (0.0, 0.0, 1.0)


def test_paper_tables_and_figures():
    for number in TABLES:
        names = [spec.name for spec in table_methods(number)]
        assert len(names) == len(set(names)) >= 2
    assert table_methods(5)[0].repeat_target
    with pytest.raises(InputError, match="1 to 5"):
        table_methods(6)
    ablations = figure_3_methods()
    assert len(ablations) == 3 * 8 * 2
    first = ablations[0]
    assert first.spec.settings.static_weights == (0.0, *[1.0] * 7)


def test_published_numbers_are_consistent_and_found():
    means = {"WWW-CLIP": 62.26, "OpenCLIP": 65.53, "CLIP": 65.37}
    for row in published()["rows"]:
        if row["model"] in means and row["table"] == 1:
            assert np.mean(row["accuracy"]) == pytest.approx(means[row["model"]], abs=0.006)
    assert published_accuracy(1, "videogem", "ViT-B-16/openai", "daly") == pytest.approx(0.8453)
    assert published_accuracy(2, "videogem:static", "ViCLIP-B-16", "youcook") is None
    assert published_accuracy(1, "videogem", "demo", "daly") is None
    assert published_accuracy(1, "videogem", "ViT-B-16/openai", "jsonl") is None
    assert model_family("ViT-B-16/laion2b_s34b_b88k") == "OpenCLIP"


# --- files ---------------------------------------------------------------------------------------


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


# --- comparison ----------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_scipy(only_first, only_second):
    n = only_first + only_second
    expected = binomtest(only_first, n, 0.5).pvalue if n else 1.0
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_large_runs_is_quick():
    assert mcnemar_p_value(9000, 8000) < 1e-10
    assert mcnemar_p_value(8500, 8500) == 1.0


def outcomes(hits):
    return [Outcome(str(i), "l", bool(value), None) for i, value in enumerate(hits)]


def test_better_is_said_only_when_it_is():
    rng = random.Random(0)
    base = [rng.random() < 0.6 for _ in range(400)]
    more = [value or rng.random() < 0.3 for value in base]
    found = compare(outcomes(more), outcomes(base), names=("new", "old"))
    assert found.better == "new"
    assert "new is better than old" in found.sentence()
    assert found.low < found.difference < found.high
    other = compare(outcomes(base), outcomes(more), names=("old", "new"))
    assert other.better == "new"
    shuffled = [rng.random() < 0.6 for _ in range(400)]
    same = compare(outcomes(base), outcomes(shuffled), names=("a", "b"))
    assert same.better is None
    assert "no difference shown" in same.sentence()


def test_frames_of_one_video_do_not_count_as_many():
    base = [False] * 40
    more = [True] * 20 + [False] * 20
    clusters = {str(i): "one" if i < 20 else "other" for i in range(40)}
    alone = compare(outcomes(more), outcomes(base), names=("a", "b"))
    together = compare(outcomes(more), outcomes(base), names=("a", "b"), clusters=clusters)
    assert alone.better == "a"
    assert together.better is None


def test_comparison_uses_items_both_answered():
    found = compare(outcomes([1, 1, 0]), outcomes([1, 0]), names=("a", "b"))
    assert (found.n, found.only_first, found.only_second) == (2, 1, 0)
    none = compare([], [], names=("a", "b"))
    assert none.n == 0
    assert none.better is None


def test_read_options_default_to_the_protocol():
    assert ReadOptions() == ReadOptions(boxes=None, canvas="capped", fix_clip=False)
