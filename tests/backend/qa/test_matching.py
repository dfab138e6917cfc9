"""Who is matched with whom, against a plain search; and what large reviews cost."""

import random
import sys
from dataclasses import replace

import pytest

from backend.labeling import shapes
from backend.qa import regions
from backend.qa.matching import (
    DOT,
    Matching,
    is_dot,
    outcomes_of,
    pixels_between,
    with_ids,
)
from backend.qa.regions import read_regions, read_result
from tests.backend.qa.test_nameless import nameless
from tests.backend.qa.test_scoring import rows_for
from tests.qa_events import box, point, track


def searched(region, predicted, reviewed):
    """The rule as its docstring says it, one region at a time."""
    there = [r for r in reviewed if r.canvas == region.canvas and r.kind != "point"]
    there = [r for r in there if not is_dot(r)]
    drawn = [r for r in there if r.kind != "mask"] or there
    alike = [r for r in predicted if r.canvas == region.canvas and r.kind == region.kind]
    alike = [r for r in alike if is_dot(r) == is_dot(region)]
    partners = [partner(r, alike, predicted) for r in alike]
    [mine] = [p for r, p in zip(alike, partners, strict=True) if r is region]
    own = [r for r in drawn if mine is not None and r.id == mine.id and r.kind == mine.kind]
    taken = {(p.id, p.kind) for p in partners if p is not None}
    free = [r for r in drawn if (r.id, r.kind) not in taken]
    labelled = [r for r in free if r.label == (mine or region).label]
    return [*own, *labelled] or (free if len(alike) == 1 else [])


def partner(region, alike, predicted):
    if region.kind != "point" and not is_dot(region):
        return region
    boxes = [r for r in predicted if r.canvas == region.canvas and r.kind in ("box", "track")]
    boxes = [r for r in boxes if not is_dot(r)]
    if len(boxes) == len(alike):
        return boxes[alike.index(region)]
    if region.kind == "track":
        return next((r for r in boxes if r.label == region.label), None)
    still = [r for r in boxes if r.kind == "box"]
    return min(still, key=lambda r: pixels_between(region, r), default=None)


def some_regions(random, ids):
    made = []
    for _ in range(random.randint(0, 7)):
        place = {
            "id": random.choice(ids), "label": random.choice("ab"),
            "item_index": random.randint(0, 1),
        }  # fmt: skip
        x, y = random.randint(0, 80), random.randint(0, 80)
        kind = random.choice(["point", "box", "box", "dot", "track"])
        if kind == "point":
            made.append(point(x, y, **place))
        elif kind == "box":
            made.append(box(x, y, 10, 10, **place))
        else:
            side = 50 * DOT if kind == "dot" else 10
            key = {"frame": 1, "x": x, "y": y, "width": side, "height": side, "enabled": True}
            made.append(track([key], id=place["id"], label=place["label"]))
    return made


@pytest.mark.parametrize("seed", range(300))
def test_regions_are_matched_as_a_plain_search_does(seed):
    chance = random.Random(seed)
    predicted = read_regions(some_regions(chance, "pqrstuv"))
    reviewed = read_regions(some_regions(chance, "pqrstuvxyz"))
    matching = Matching(predicted, reviewed)
    for region in predicted:
        found = matching.canvas_of(region).action_regions(region)
        assert [r.id for r in found] == [r.id for r in searched(region, predicted, reviewed)]


def num_calls(predicted, reviewed, **extra):
    """Python functions called to score one annotation."""
    count = 0

    def note(_frame, event, _argument):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        rows = rows_for(predicted, reviewed, **extra)
    finally:
        sys.setprofile(before)
    return count, rows


def crowd(number, prefix):
    places = [((7 * k) % 90, (11 * k) % 90) for k in range(number)]
    points = [point(x, y, id=f"p{prefix}{k}") for k, (x, y) in enumerate(places)]
    boxes = [box(x, y, 8, 8, id=f"b{prefix}{k}") for k, (x, y) in enumerate(places)]
    return [*points, *boxes]


def test_a_review_of_twice_the_size_costs_twice_as_much():
    costs = [num_calls(crowd(n, ""), crowd(n, ""))[0] for n in (150, 300)]
    assert costs[1] < 2.2 * costs[0]


def test_regions_without_names_cost_as_much_as_there_are():
    def cost(number):
        left = [{**each, "origin": "prediction"} for each in crowd(number, "new")]
        return num_calls(nameless(*crowd(number, "")), left)

    (few, rows), (many, _) = cost(150), cost(300)
    assert {row["outcome"] for row in rows[1:]} == {"accepted"}
    assert many < 2.3 * few


@pytest.mark.parametrize("seed", range(100))
def test_regions_without_names_are_found_as_a_plain_search_does(seed):
    chance = random.Random(seed)
    predicted = read_regions([{**each, "id": ""} for each in some_regions(chance, "pqrstuv")])
    again = random.Random(seed) if seed % 2 else chance
    reviewed = read_regions(some_regions(again, "abcdefg"))
    free, wanted = list(reviewed), {}
    for same in (True, False):
        for region in predicted:
            fitting = [
                r
                for r in free
                if (r.kind, r.canvas) == (region.kind, region.canvas) and id(region) not in wanted
                if not same or set(outcomes_of([replace(region, id=r.id)], [r], skipped=False,
                                               independent=False).values()) == {"accepted"}
            ]  # fmt: skip
            if fitting:
                wanted[id(region)] = min(fitting, key=lambda r: pixels_between(region, r))
                free.remove(wanted[id(region)])
    named = [wanted[id(region)].id if id(region) in wanted else "" for region in predicted]
    assert [region.id for region in with_ids(predicted, reviewed)] == named


def test_what_could_be_anybodys_is_compared_up_to_a_limit_and_counted(monkeypatch):
    """One label, everything drawn anew: each of the points could belong to each of the boxes."""
    monkeypatch.setattr("backend.qa.scoring.MAX_EFFORT", 20_000)
    predicted = [each for each in crowd(400, "") if each["type"] == "keypointlabels"]
    calls, rows = num_calls(predicted, crowd(400, "new"))
    assert calls < 1_500_000  # 20,000 of some fifty each; all would be 8,000,000
    judged = [row["hit"] for row in rows if row["kind"] == "point" and row["outcome"] != "added"]
    assert sum(hit is not None for hit in judged) == 50  # 400 comparisons each
    assert rows[0]["left_out"] == 350


def test_a_few_small_regions_are_compared_although_a_large_one_is_too_dear(monkeypatch):
    monkeypatch.setattr("backend.qa.scoring.MAX_EFFORT", 50)
    keys = [
        {"frame": k, "x": k, "y": 5, "width": 20, "height": 20, "enabled": True}
        for k in range(1, 60)
    ]
    predicted = [track(keys, id="t"), point(25, 25), box(20, 20, 10, 10, id="b")]
    rows = rows_for(predicted, predicted)
    assert [row["hit"] for row in rows if row["kind"] == "point"] == [True]
    assert [row["iou"] for row in rows if row["kind"] == "track"] == [None]
    assert rows[0]["left_out"] == 1


def test_long_tracks_cost_as_much_as_they_are_long():
    def keys(number):
        return [
            {"frame": k, "x": k / number, "y": 5, "width": 20, "height": 20, "enabled": True}
            for k in range(number)
        ]

    costs = [num_calls([track(keys(n))], [track(keys(n))])[0] for n in (200, 400)]
    assert costs[1] < 2.3 * costs[0]


def test_what_cannot_be_read_of_a_review_is_counted():
    broken = [
        {**box(1, 1, 5, 5, id="far"), "value": {"x": 1e300, "y": 1, "width": 5, "height": 5}},
        {**box(1, 1, 5, 5, id="wide"), "original_width": 1e9},
        track([], id="empty"),
        {"id": "t", "type": "textarea", "value": {"text": ["cut"]}},
    ]
    rows = rows_for([point(25, 25)], [point(25, 25), box(20, 20, 10, 10), *broken])
    assert rows[0]["left_out"] == 3
    assert [row["hit"] for row in rows if row["hit"] is not None] == [True]


@pytest.mark.parametrize(("keys", "left_out"), [(300, 0), (301, 1)])
def test_keys_beyond_the_limit_are_counted(monkeypatch, keys, left_out):
    monkeypatch.setattr(shapes, "MAX_KEYS", 300)
    monkeypatch.setattr(regions, "MAX_KEYS", 300)
    key = {"x": 1, "y": 1, "width": 50, "height": 50, "enabled": True}
    read = read_result([track([{**key, "frame": k} for k in range(keys)])])
    assert read.left_out == left_out  # as stored by an earlier version
    assert len(read.regions[0].keys) == 300


def test_a_point_and_a_box_of_one_action_may_have_a_label_each():
    predicted = [
        point(10, 10, id="p1", label="Action point"), point(80, 80, id="p2", label="Hand point"),
    ]  # fmt: skip
    reviewed = [
        *predicted,
        box(5, 5, 10, 10, id="b1", label="Action box"), box(5, 50, 9, 9, id="b2", label="Hand box"),
    ]  # fmt: skip
    matching = Matching(read_regions(predicted), read_regions(reviewed))
    found = [matching.canvas_of(r).action_regions(r) for r in read_regions(predicted)]
    assert [[r.id for r in regions] for regions in found] == [["b1"], ["b2"]]
