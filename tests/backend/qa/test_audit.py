"""Each reason finds the mistakes of its kind, and clean data raises none."""

import random
from dataclasses import replace

import pytest

from backend.qa import reasons
from backend.qa.audit import audit_reasons, count_reasons, find_suspects
from backend.qa.audit_items import Item, agree, distance_to_box, same_words

SIZE = (640, 480)


def clean(n=200, seed=0):
    """Boxes of people and things, a model that points well, annotators that correct a little."""
    rng = random.Random(seed)
    items = []
    for i in range(n):
        w, h = rng.uniform(60, 250), rng.uniform(60, 200)
        x, y = rng.uniform(0, 640 - w), rng.uniform(0, 480 - h)
        box = (x, y, x + w, y + h)
        items.append(
            Item(
                id=f"a{i}",
                boxes=(box,),
                size_wh=SIZE,
                annotator=str(i % 5),
                label=["cut", "stir"][i % 2],
                predicted_label=["cut", "stir"][i % 2],
                point=(x + w * rng.random(), y + h * rng.random()),
                score=rng.uniform(0.3, 1),
                accepted=rng.random() < 0.4,
                lead_time=rng.uniform(4, 15),
                task=f"t{i}",
            )
        )
    return items


def test_clean_data_raises_no_suspicion():
    for seed in range(5):
        assert find_suspects(clean(seed=seed)) == []
    assert find_suspects([]) == []


def test_boxes_touching_the_frame_or_drawn_on_a_line_are_no_clipping():
    touching = [replace(i, boxes=((b[0], b[1], 640.0, b[3]),)) for i in clean(40) for b in i.boxes]
    inclusive = [replace(i, boxes=((b[0], b[1], 639.0, b[3]),)) for i in clean(40) for b in i.boxes]
    line = [replace(i, boxes=((b[0], 100.0, b[2], 300.0),)) for i in clean(40) for b in i.boxes]
    for items in (touching, inclusive, line):
        assert "edge-clipped" not in count_reasons(find_suspects(items))


def test_swapped_limits_of_whole_pixel_boxes_are_found_among_boxes_cut_at_the_frame():
    """The defect of the released GroundingYouTube boxes: x cut at 480, y hardly at all."""
    rng = random.Random(3)
    items = []
    for k in range(2000):
        x, y, w, h = (
            rng.gauss(260, 120),
            rng.gauss(180, 100),
            rng.gauss(220, 90),
            rng.gauss(180, 80),
        )
        x1, y1 = max(0, round(x)), max(0, round(y))
        box = (x1, y1, min(480, round(x1 + abs(w) + 9)), round(y1 + abs(h) + 9))
        items.append(Item(id=str(k), boxes=(box,), size_wh=SIZE))
    counts = count_reasons(find_suspects(items))
    cut = [i.boxes[0] for i in items if i.boxes[0][2] == 480]
    assert counts["edge-clipped"] == sum(box[0] < 480 for box in cut) > 500
    assert counts["zero-area"] == sum(box[0] >= 480 for box in cut) > 0
    assert counts["out-of-canvas"] == sum(i.boxes[0][3] > 480 for i in items) > 100
    assert set(counts) <= {"edge-clipped", "out-of-canvas", "zero-area", "tiny", "whole-frame"}


def swap(reason, item, rng):
    """One mistake of a kind, put into a clean item."""
    x1, y1, x2, y2 = item.boxes[0]
    far = (620.0, 10.0) if (x1 + x2) / 2 < 320 else (20.0, 10.0)
    return {
        "zero-area": lambda: replace(item, boxes=((x1, y1, x1, y2),)),
        "out-of-canvas": lambda: replace(item, boxes=((x1 + 640 - x2, y1, 700.0, y2),)),
        "edge-clipped": lambda: replace(
            item, boxes=((min(x1, 380.0), y1, 480.0, y2),), point=(400, (y1 + y2) / 2)
        ),
        "whole-frame": lambda: replace(item, boxes=((0.0, 0.0, 640.0, 480.0),)),
        "tiny": lambda: replace(item, boxes=((x1, y1, x1 + 6, y1 + 6),)),
        "identical-boxes": lambda: replace(item, boxes=((200.0, 150.0, 330.0, 270.0),)),
        "confident-miss": lambda: replace(item, point=far, score=0.99),
        "far-outside": lambda: replace(item, point=far),
        "label-mismatch": lambda: replace(item, label="peel"),
        "short-time": lambda: replace(item, lead_time=rng.uniform(0.1, 0.9)),
        "emptied": lambda: replace(item, boxes=(), emptied=2),
        "always-accepts": lambda: replace(item, annotator="lazy", accepted=True),
    }[reason]()


@pytest.mark.parametrize(
    "reason", [r for r in audit_reasons() if r not in ("track-jump", "annotator-disagreement")]
)
def test_seeded_mistakes_are_found(reason):
    rng = random.Random(1)
    items = clean(300, seed=2)
    seeded = set(rng.sample(range(300), 30))
    items = [swap(reason, item, rng) if k in seeded else item for k, item in enumerate(items)]
    found = {s.id for s in find_suspects(items) if s.reason == reason}
    assert {items[k].id for k in seeded} <= found
    assert len(found) <= 33


def test_a_point_as_good_as_on_the_side_is_no_confident_miss():
    items = clean(100)
    _, y1, x2, y2 = items[0].boxes[0]
    near = replace(items[0], point=(x2 + 3, (y1 + y2) / 2), score=0.99)  # 0.4 % of 800 pixels
    far = replace(items[0], point=(x2 + 5, (y1 + y2) / 2), score=0.99)
    for item, expected in ((near, []), (far, ["confident-miss"])):
        found = find_suspects([item, *items[1:]])
        assert [s.reason for s in found if s.id == item.id] == expected


def test_a_jump_in_a_track_is_found_and_steady_motion_is_not():
    items = [
        Item(
            id=f"f{i}",
            boxes=((10 + 8 * i, 50, 110 + 8 * i, 150),),
            size_wh=SIZE,
            track="v1",
            time=i,
        )
        for i in range(40)
    ]
    assert find_suspects(items) == []
    items[17] = replace(items[17], boxes=((500, 300, 600, 400),))
    assert [(s.id, s.reason) for s in find_suspects(items)] == [("f17", "track-jump")]


def test_annotators_who_disagree_are_found():
    box, other = (100, 100, 200, 200), (400, 300, 450, 330)
    items = [
        Item(id=f"{task}{who}", boxes=(box,), size_wh=SIZE, annotator=str(who), task=task)
        for task in "ab"
        for who in range(3)
    ]
    assert find_suspects(items) == []
    items[1] = replace(items[1], boxes=(other,))
    found = find_suspects(items)
    assert found[0].id == "a1"
    assert {s.id for s in found if s.reason == "annotator-disagreement"} == {"a1"}


def test_the_worst_item_comes_first_and_keeps_its_reasons_together():
    items = clean(100)
    items[7] = replace(items[7], boxes=((630.0, 10.0, 630.0, 90.0),), point=(10, 400), score=0.99)
    items[9] = replace(items[9], lead_time=0.5)
    found = find_suspects(items)
    assert [s.id for s in found] == ["a7"] * 3 + ["a9"]
    assert count_reasons(found) == {
        "zero-area": 1,
        "confident-miss": 1,
        "far-outside": 1,
        "short-time": 1,
    }


POLE = '''"""The box is far taller than wide."""

from backend.qa.audit_items import Doubt, Reason


def check(items):
    for item in items:
        for x1, y1, x2, y2 in item.boxes:
            if y2 - y1 > 10 * (x2 - x1) > 0:
                yield Doubt(item, 1.0, "like a pole")


REASON = Reason("pole", "the box is a pole", 0.5, check)
'''


def test_a_new_reason_is_one_file(tmp_path, monkeypatch):
    items = clean(3)
    items[1] = replace(items[1], boxes=((100.0, 10.0, 110.0, 400.0),), point=(105.0, 50.0))
    assert find_suspects(items) == []
    (tmp_path / "pole.py").write_text(POLE)
    monkeypatch.setattr(reasons, "__path__", [*reasons.__path__, str(tmp_path)])
    audit_reasons.cache_clear()
    try:
        assert [(s.id, s.reason, s.detail) for s in find_suspects(items)] == [
            ("a1", "pole", "like a pole")
        ]
        assert audit_reasons()["pole"].meaning == "the box is a pole"
    finally:
        monkeypatch.undo()
        audit_reasons.cache_clear()


def test_helpers():
    assert distance_to_box((0, 0), (3, 4, 9, 9)) == 5
    assert distance_to_box((5, 5), (3, 4, 9, 9)) == 0
    assert agree([], []) == 1
    assert agree([(0, 0, 1, 1)], []) == 0
    assert agree([(0, 0, 1, 1), (5, 5, 6, 6)], [(5, 5, 6, 6), (0, 0, 1, 1)]) == 1
    assert same_words("CutTomato", "cut the tomato")
    assert same_words("cut_tomato", "Cut Tomato")
    assert not same_words("cut tomato", "cut onion")
