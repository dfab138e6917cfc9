import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from tests.fakes import FakeGrounder
from videogem.datasets.base import Item, ReadOptions
from videogem.datasets.registry import read_dataset
from videogem.errors import InputError
from videogem.evaluation import Outcome, Prediction, read_clips, score
from videogem.evaluation.compare import compare, compare_runs, holm, sign_flip_p_value
from videogem.evaluation.files import (
    PredictionFiles,
    annotation_row,
    as_row,
    read_predictions,
)
from videogem.evaluation.methods import parse_method
from videogem.evaluation.paper import (
    PAPER_MODELS,
    TABLES,
    figure_3_methods,
    figure_4_methods,
    published,
    published_accuracy,
    published_systems,
    table_methods,
)
from videogem.evaluation.report import markdown_table

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


def test_label_style_and_spacy_model_are_settings_of_a_method():
    spec = parse_method("videogem:label_style=camel", spacy_model="xx_ent_wiki_sm")
    assert (spec.settings.label_style, spec.settings.spacy_model) == ("camel", "xx_ent_wiki_sm")
    assert parse_method("clip:words=everyday", words="paper").settings.words == "everyday"
    with pytest.raises(InputError, match="label_style must be one of"):
        parse_method("videogem:label_style=snake")


def test_tables_have_the_rows_of_the_paper():
    printed = published()["rows"]
    for number, table in TABLES.items():
        own = [row for row in printed if row["table"] == number and row["method"] is not None]
        assert {row["name"]: row["method"] for row in own} == (
            dict(table.rows) if number != "1+" else {}
        )
    assert [spec.name for spec in table_methods("1")] == ["gem", "videogem"]
    assert [spec.name for spec in table_methods("1+")][-2:] == ["gem", "videogem"]
    assert len(table_methods("1+")) == 6
    assert [spec.repeat_target for spec in table_methods("5")] == [False, True, False, True]
    with pytest.raises(InputError, match="1 to 5"):
        table_methods("6")


def test_figure_3_leaves_one_layer_out():
    methods = figure_3_methods()
    assert list(methods) == [*range(1, 9)]
    assert methods[1].settings.static_weights == (*[1.0] * 7, 0.0)  # the last block
    assert methods[8].settings.static_weights == (0.0, *[1.0] * 7)  # the input of the first
    for spec in methods.values():
        assert spec.settings.prompt_weights == (0.0, 0.0, 1.0)
        assert spec.settings.weights == "static"


def test_figure_4_adds_layers_from_the_last():
    methods = figure_4_methods()
    assert list(methods) == [*range(8)]
    assert methods[0].settings.method == "clip"
    assert [spec.settings.depth for spec in methods.values()][1:] == [*range(1, 8)]
    assert {spec.settings.method for spec in methods.values()} == {"clip", "gem"}


def test_printed_numbers_agree_with_their_means():
    rows = published()["rows"]
    assert [sum(row["table"] == number for row in rows) for number in "12345"] == [14, 8, 8, 8, 4]
    for row in rows:
        if row["mean"] is None or None in row["accuracy"]:
            continue
        misprinted = row["model"] == "ViCLIP" and row["method"] == "videogem:action"
        mean = 61.20 if misprinted else row["mean"]
        assert np.mean(row["accuracy"]) == pytest.approx(mean, abs=0.006)
    same = {(row["table"], row["method"], row["model"]): row["accuracy"] for row in rows}
    for model in ("ViCLIP", "OpenCLIP"):  # one method under several names
        whole = [same["1", "videogem", model], same["2", "videogem:combined", model]]
        whole += [same["3", "videogem:all", model], same["4", "videogem:positions", model]]
        assert whole.count(whole[0]) == 4


@pytest.mark.parametrize(
    ("table", "method", "model", "dataset", "expected"),
    [
        ("1", "videogem", "ViT-B-16/openai", "daly", 0.8453),
        ("1+", "gem", "ViCLIP-B-16/internvid-10m-flt", "vhico", 0.6508),
        ("1+", "clip", "ViT-B-16/openai", "daly", None),
        ("2", "videogem:static", "ViCLIP-B-16/internvid-10m-flt", "youcook-videogem", 0.5502),
        ("3", "videogem:verb", "ViT-B-16/laion2b_s34b_b88k", "groundingyoutube", 0.2160),
        ("4", "videogem:action", "ViT-B-16/laion2b_s34b_b88k", "vhico", 0.6677),
        ("5", "gem:repeat", "ViCLIP-B-16/internvid-10m-flt", "groundingyoutube", 0.4880),
        ("2", "videogem:static", "ViT-B-16/openai", "daly", None),  # not printed for CLIP
        ("1", "videogem", "demo", "daly", None),
        ("1", "videogem", "ViT-B-16/openai", "jsonl", None),
    ],
)
def test_the_papers_number_stands_beside_the_papers_own(table, method, model, dataset, expected):
    found = published_accuracy(table, method, model, dataset)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "model",
    [
        "ViT-H-14/laion2b_s32b_b79k",
        "ViT-B-16/laion400m_e32",
        "ViT-L-14/openai",
        "ViT-B-16:/weights/open_clip_model.safetensors",
        "ViCLIP-B-16:/weights/ViCLIP-B_InternVid-FLT-10M.pth",
        "ViCLIP-B-16/internvid-200m",
        "ViCLIP-L-14/internvid-10m-flt",
    ],
)
def test_other_weights_stand_beside_no_number_of_the_paper(model):
    assert model not in PAPER_MODELS
    assert published_accuracy("1", "videogem", model, "daly") is None


def test_the_papers_numbers_are_of_its_data_in_full():
    row = rows_of([item("a")], [(0.3, 0.3)])
    row = replace(row, dataset="daly", model="ViT-B-16/openai", method="videogem")
    table = markdown_table([row], "1", as_published=["daly"])
    assert table.splitlines()[0].endswith("| paper % |")
    assert "| VideoGEM | videogem |" in table
    assert "84.53 |" in table
    assert "WWW-CLIP (CLIP) 70.08" in table
    other = markdown_table([row], "1")
    assert "paper" not in other.splitlines()[0]
    assert "84.53" not in other and "WWW-CLIP" not in other
    assert published_systems("1", "youcook")["TubeDETR (ResNet101, RoBERTa)"] == 0.5163


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
def test_with_single_items_the_test_is_mcnemars(only_first, only_second):
    n = only_first + only_second
    expected = binomtest(only_first, n, 0.5).pvalue if n else 1.0
    sums = [1] * only_first + [-1] * only_second
    assert sign_flip_p_value(sums) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-5, 5), max_size=9))
def test_the_sign_flip_test_agrees_with_trying_every_turn(sums):
    turns = [sum(turn) for turn in itertools.product(*[(value, -value) for value in sums])]
    expected = sum(abs(turn) >= abs(sum(sums)) for turn in turns) / len(turns)
    assert sign_flip_p_value(sums) == pytest.approx(expected)


def test_the_test_of_large_runs_is_quick():
    assert sign_flip_p_value([1] * 9000 + [-1] * 8000) < 1e-10
    assert sign_flip_p_value([1] * 8500 + [-1] * 8500) == 1.0
    assert sign_flip_p_value([2] * 300 + [-2] * 200 + [7]) < 1e-4


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_agrees_with_statsmodels(p_values):
    found = holm(p_values)
    if p_values:
        assert found == pytest.approx(multipletests(p_values, method="holm")[1])


def outcomes(hits, videos=None):
    return [
        Outcome(str(i), "l", bool(value), None, str(i if videos is None else videos[i]))
        for i, value in enumerate(hits)
    ]


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
    base = [False] * 400
    more = [True] * 20 + [False] * 380
    alone = compare(outcomes(more), outcomes(base), names=("a", "b"))
    assert alone.better == "a"
    videos = [i // 20 for i in range(400)]  # only the first video differs
    together = compare(outcomes(more, videos), outcomes(base, videos), names=("a", "b"))
    assert (together.num_clusters, together.p_value, together.better) == (20, 1.0, None)


def test_the_best_is_tested_against_all_pairs_and_a_reference_against_its_own():
    rng = random.Random(1)
    runs = {name: outcomes([rng.random() < 0.5 for _ in range(60)]) for name in "abcd"}
    best = compare_runs(runs)
    assert len(best) == 3
    assert {one.num_comparisons for one in best} == {6}
    assert len({one.first for one in best}) == 1
    assert all(one.adjusted >= one.p_value for one in best)
    named = compare_runs(runs, reference="c")
    assert [(one.first, one.second) for one in named] == [("c", "a"), ("c", "b"), ("c", "d")]
    assert {one.num_comparisons for one in named} == {3}
    assert compare_runs({"a": runs["a"]}) == []
    with pytest.raises(InputError, match="There is no run 'e'"):
        compare_runs(runs, reference="e")


def test_comparison_uses_items_both_answered():
    found = compare(outcomes([1, 1, 0]), outcomes([1, 0]), names=("a", "b"))
    assert (found.n, found.only_first, found.only_second) == (2, 1, 0)
    none = compare([], [], names=("a", "b"))
    assert none.n == 0
    assert none.better is None


def test_read_options_default_to_the_protocol():
    assert ReadOptions() == ReadOptions(boxes=None, canvas="capped", fix_clip=False)
