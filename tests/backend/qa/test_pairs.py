"""`videogem qa score`: the files, the rules at the edges, and the figures."""

import json
import random
import resource
import subprocess
import sys
import time

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint
from typer.testing import CliRunner

from backend.cli import app
from backend.qa.figures import share
from backend.qa.pairs import Annotation, Prediction, figures, score_pairs
from videogem.errors import InputError

KEYS = ["n", "hits", "accuracy", "low", "high", "mean_iou",
        "missing_predictions", "missing_annotations", "audit"]  # fmt: skip


def torchvision_iou(a, b):
    pair = (torch.tensor([box], dtype=torch.float64) for box in (a, b))
    return float(torchvision.ops.box_iou(*pair).nan_to_num(0.0))


def write(path, lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n"
                            for line in lines))  # fmt: skip
    return path


@pytest.fixture
def score(tmp_path):
    def run(predictions, annotations, *options):
        p = write(tmp_path / "P.jsonl", predictions)
        a = write(tmp_path / "A.jsonl", annotations)
        command = ["qa", "score", "--predictions", str(p), "--annotations", str(a), *options]
        return CliRunner().invoke(app, command)

    return run


def scored(score, predictions, annotations, *options):
    result = score(predictions, annotations, "--json", *options)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    found = json.loads(result.stdout)
    assert list(found) == KEYS
    return found


def p(id, point=None, box=None, **extra):
    return {"id": id, "point": point, "box": box, **extra}


def a(id, *boxes, size=(640, 480), **extra):
    return {"id": id, "boxes": [list(b) for b in boxes], "size": list(size), **extra}


BOX = (10, 20, 110, 220)
CASES = {
    "inside": (p("x", [50, 50]), a("x", BOX), True, None),
    "left top corner": (p("x", [10, 20]), a("x", BOX), True, None),
    "right bottom corner": (p("x", [110, 220]), a("x", BOX), True, None),
    "just outside": (p("x", [110.0001, 220]), a("x", BOX), False, None),
    "null point": (p("x"), a("x", BOX), False, None),
    "box only": (p("x", None, BOX), a("x", BOX), False, 1.0),
    "box key alone": ({"id": "x", "box": list(BOX)}, a("x", BOX), False, 1.0),
    "point key alone": ({"id": "x", "point": [50, 50]}, a("x", BOX), True, None),
    "second box": (p("x", [600, 400]), a("x", BOX, (590, 390, 610, 410)), True, None),
    "best overlap of two": (p("x", None, BOX), a("x", (0, 0, 5, 5), BOX), False, 1.0),
    "no box": (p("x", [50, 50], BOX), a("x"), False, 0.0),
    "no box, no answer": (p("x"), a("x"), False, None),
    "zero area": (p("x", [5, 5], (5, 5, 5, 5)), a("x", (5, 5, 5, 5)), True, 0.0),
    "inverted box": (p("x", [50, 50], BOX), a("x", (110, 220, 10, 20)), False, 0.0),
    "number as id": (p(7, [50, 50]), a("7", BOX), True, None),
    "fractions of the frame": (
        p("x", [0.5, 0.5]),
        a("x", (0, 0, 0.5, 0.5), size=(1, 1)),
        True,
        None,
    ),
    "two annotators": (
        p("x", [600, 400]),
        [a("x", BOX, annotator="1"), a("x", (590, 390, 610, 410), annotator="2")],
        True,
        None,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_rules(score, case):
    prediction, annotation, hit, iou = case
    annotations = annotation if isinstance(annotation, list) else [annotation]
    found = scored(score, [prediction], annotations)
    assert (found["n"], found["hits"]) == (1, int(hit))
    assert found["mean_iou"] == (None if iou is None else pytest.approx(iou))


def test_ids_on_one_side_are_missing_and_not_scored(score):
    predictions = [p("both", [50, 50], BOX), p("only p", [50, 50], BOX), p("also p")]
    found = scored(score, predictions, [a("both", BOX), a("only a", BOX)])
    assert (found["n"], found["hits"], found["mean_iou"]) == (1, 1, 1.0)
    assert (found["missing_predictions"], found["missing_annotations"]) == (1, 2)


def test_the_audit_takes_the_middle_of_a_box_where_there_is_no_point(score):
    predictions = [p("x", None, (600, 400, 640, 440), score=0.9)]
    found = scored(score, predictions, [a("x", BOX)], "--audit")
    assert found["audit"] == {"confident-miss": 1, "far-outside": 1}
    assert scored(score, predictions, [a("x", BOX)])["audit"] == {}


def test_nothing_in_common_has_no_figures(score):
    found = scored(score, [], [a("x", BOX)])
    assert [found[k] for k in KEYS[:6]] == [0, 0, None, None, None, None]
    assert found["missing_predictions"] == 1
    assert score([], [], "--audit").exit_code == 0


def test_blank_lines_byte_order_marks_and_windows_line_ends_are_fine(score, tmp_path):
    lines = ["\n", json.dumps(p("x", [50, 50])) + "\r\n", "   \n", json.dumps(p("y"))]
    found = scored(score, ["﻿", *lines], [a("x", BOX), a("y", BOX)])
    assert (found["n"], found["hits"]) == (2, 1)


BAD_PREDICTIONS = {
    "not json": ("{oops\n", "not JSON"),
    "cut off": ('{"id": "x", "point": [1\n', "not JSON"),
    "no object": ([1, 2], "JSON object"),
    "no id": ({"point": [1, 2]}, '"id"'),
    "null id": (p(None, [1, 2]), '"id"'),
    "true as id": (p(True, [1, 2]), '"id"'),
    "neither key": ({"id": "x"}, '"point" or "box"'),
    "one number": (p("x", [1]), "[x, y]"),
    "three numbers": (p("x", [1, 2, 3]), "[x, y]"),
    "text as number": (p("x", ["1", 2]), "finite"),
    "true as number": (p("x", [True, 2]), "finite"),
    "null in point": (p("x", [None, 2]), "finite"),
    "short box": (p("x", None, [1, 2, 3]), "[x1, y1, x2, y2]"),
    "object as box": (p("x", None, {"x": 1}), "[x1, y1, x2, y2]"),
    "NaN": ('{"id": "x", "point": [NaN, 1], "box": null}\n', "NaN"),
    "infinite": ('{"id": "x", "point": [1e999, 1], "box": null}\n', "finite"),
    "too large": ('{"id": "x", "point": [1' + "0" * 400 + ', 1], "box": null}\n', "finite"),
    "score as text": (p("x", [1, 2], score="high"), '"score"'),
    "list as label": (p("x", [1, 2], label=["cut"]), '"label"'),
    "id twice": (p("first", [1, 2]), "already on line 1"),
}


@pytest.mark.parametrize(("line", "words"), BAD_PREDICTIONS.values(), ids=BAD_PREDICTIONS.keys())
def test_a_bad_prediction_is_named_by_its_line(score, line, words):
    result = score([p("first"), "\n", line], [a("first", BOX)])
    assert isinstance(result.exception, InputError)
    assert "P.jsonl: line 3: " in str(result.exception)
    assert words in str(result.exception)


BAD_ANNOTATIONS = {
    "no boxes": ({"id": "x", "size": [1, 1]}, '"boxes"'),
    "null boxes": ({"id": "x", "boxes": None, "size": [1, 1]}, '"boxes"'),
    "one flat box": ({"id": "x", "boxes": [1, 2, 3, 4], "size": [9, 9]}, "box 1"),
    "bad second box": (a("x", BOX, (1, 2, 3)), "box 2"),
    "no size": ({"id": "x", "boxes": []}, '"size"'),
    "zero size": (a("x", BOX, size=(0, 480)), "positive"),
    "id twice": (a("first", BOX), "already on line 1"),
}


@pytest.mark.parametrize(("line", "words"), BAD_ANNOTATIONS.values(), ids=BAD_ANNOTATIONS.keys())
def test_a_bad_annotation_is_named_by_its_line(score, line, words):
    result = score([p("first")], [a("first", BOX), line])
    assert isinstance(result.exception, InputError)
    assert "A.jsonl: line 2: " in str(result.exception)
    assert words in str(result.exception)


def test_one_annotator_twice_and_two_sizes_of_one_id_are_errors(score):
    twice = score([p("x")], [a("x", BOX, annotator=1), a("x", BOX, annotator="1")])
    assert "annotator '1' was already on line 1" in str(twice.exception)
    sizes = score([p("x")], [a("x", annotator=1), a("x", annotator=2, size=(9, 9))])
    assert "another size than on line 1" in str(sizes.exception)


def test_the_command_ends_with_code_2_and_no_traceback(tmp_path):
    bad = write(tmp_path / "P.jsonl", ["{\n", "{\n", "{\n", "{\n", "{\n", "{\n", "{\n"])
    for predictions in (bad, tmp_path / "absent.jsonl", tmp_path):
        command = [sys.executable, "-c", "from backend.cli import main; main()", "qa", "score",
                   "--predictions", str(predictions), "--annotations", str(bad)]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "Traceback" not in ended.stderr
        assert str(predictions) in ended.stderr


def test_the_table_names_figures_labels_and_suspects(score):
    predictions = [p(i, [50, 50], BOX, label="cut" if i % 2 else "stir") for i in range(20)]
    annotations = [a(i, BOX if i else (5, 5, 5, 9), label="cut" if i % 2 else "stir")
                   for i in range(20)]  # fmt: skip
    result = score(predictions, annotations, "--audit", "--limit", "3")
    assert result.exit_code == 0
    for words in ("95.0 %", "stir", "macro", "zero-area", "identical-boxes"):
        assert words in result.stdout


def test_twenty_thousand_pairs_take_less_than_five_seconds(tmp_path):
    rng = random.Random(0)

    def box():
        x, y = rng.uniform(0, 500), rng.uniform(0, 400)
        return [x, y, x + rng.uniform(20, 140), y + rng.uniform(20, 80)]

    n = 20_000
    boxes = [box() for _ in range(n)]
    predictions = [p(f"v{i}", [rng.uniform(0, 640), rng.uniform(0, 480)], box(), score=rng.random(),
                     label="cut") for i in range(n)]  # fmt: skip
    annotations = [a(f"v{i}", boxes[i], label="cut", annotator=i % 7) for i in range(n)]
    command = [sys.executable, "-c", "from backend.cli import main; main()", "qa", "score",
               "--predictions", str(write(tmp_path / "P", predictions)),
               "--annotations", str(write(tmp_path / "A", annotations)),
               "--json", "--audit"]  # fmt: skip
    start = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(ended.stdout)["n"] == n
    # Where others use the processor too, its own time counts.
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert min(cpu, time.monotonic() - start) < 5


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_agree_with_statsmodels(counts):
    hits, n = counts
    found = share(hits, n)
    expected = proportion_confint(hits, n, method="wilson")
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=1e-9)
    assert 0 <= found["low"] <= found["accuracy"] <= found["high"] <= 1


coordinate = st.integers(0, 40) | st.floats(0, 40)
boxes = st.tuples(coordinate, coordinate, coordinate, coordinate).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
points = st.none() | st.tuples(coordinate, coordinate)


@given(
    predictions=st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(points, st.none() | boxes)),
    annotations=st.dictionaries(st.sampled_from("abcdefgh"), st.lists(boxes, max_size=3)),
)
def test_figures_agree_with_a_plain_loop(predictions, annotations):
    left = {k: Prediction(k, point, box) for k, (point, box) in predictions.items()}
    right = {k: (Annotation(k, tuple(v), (40, 40)),) for k, v in annotations.items()}
    found = figures(score_pairs(left, right), left, right)

    both = [k for k in predictions if k in annotations]
    hits, ious = 0, []
    for k in both:
        point, box = predictions[k]
        if point:
            hits += any(b[0] <= point[0] <= b[2] and b[1] <= point[1] <= b[3]
                        for b in annotations[k])  # fmt: skip
        if box:
            ious.append(max((torchvision_iou(box, b) for b in annotations[k]), default=0.0))
    assert (found["n"], found["hits"]) == (len(both), hits)
    assert found["missing_predictions"] == len(set(annotations) - set(predictions))
    assert found["missing_annotations"] == len(set(predictions) - set(annotations))
    assert found["mean_iou"] == (pytest.approx(sum(ious) / len(ious), abs=1e-6) if ious else None)
