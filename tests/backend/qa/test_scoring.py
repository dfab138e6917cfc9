"""What counts as a hit, and what became of each region."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.qa.events import Changes, prediction_row, read_annotation
from backend.qa.scoring import is_bulk, score_task
from tests.qa_events import annotation, box, point, prediction, recorded, track
from videogem.metrics import box_iou


def rows_for(predicted, reviewed, **extra):
    """Score rows of one annotation against one prediction."""
    changes = Changes()
    made = annotation(1, reviewed, **{"parent_prediction": 7, **extra})
    if predicted is not None:
        made["prediction"] = prediction(predicted, id=7)
    read_annotation(made, changes, "2026-11-24T00:00:00.000000Z", 1, 1, "0")
    rows = [{**row, "deleted_at": None} for row in changes.annotations]
    return [{**row, **row["data"]} for row in score_task(None, rows, changes.predictions)]


def hits(rows):
    return [row["hit"] for row in rows if row["hit"] is not None]


def outcomes(rows):
    return {row["region"]: row["outcome"] for row in rows if row["kind"] != "annotation"}


CASES = [
    ("inside", [point(25, 25), box(20, 20, 10, 10)], [point(25, 25), box(20, 20, 10, 10)], [True]),
    ("on the edge", [point(30, 25)], [box(20, 20, 10, 10, id="b")], [True]),
    ("on the corner", [point(20, 30)], [box(20, 20, 10, 10, id="b")], [True]),
    ("outside", [point(31, 25)], [box(20, 20, 10, 10, id="b")], [False]),
    ("in the second box", [point(75, 75)], [box(0, 0, 9, 9, id="a"), box(70, 70, 9, 9)], [True]),
    ("in no box of two", [point(50, 50)], [box(0, 0, 9, 9, id="a"), box(70, 70, 9, 9)], [False]),
    ("empty annotation", [point(50, 50)], [], [False]),
    ("nothing to judge by", [point(50, 50)], [point(9, 9)], []),
    ("box only: its centre", [box(20, 20, 20, 20)], [box(25, 25, 20, 20)], [True]),
    ("box only, centre out", [box(20, 20, 20, 20)], [box(31, 20, 20, 20)], [False]),
    ("no prediction", None, [box(20, 20, 20, 20)], []),
    ("zero area, on it", [point(20, 20)], [box(20, 20, 0, 0, id="b")], [True]),
    (
        "turned box, bounds only",
        [point(62, 12)],
        [box(50, 10, 20, 5, rotation=45, id="b")],
        [False],
    ),
    ("turned box, inside", [point(56, 24.3)], [box(50, 10, 20, 5, rotation=45, id="b")], [True]),
]


@pytest.mark.parametrize(("predicted", "reviewed", "expected"), [c[1:] for c in CASES],
                         ids=[c[0] for c in CASES])  # fmt: skip
def test_hits(predicted, reviewed, expected):
    # Drawn independently: what was deleted of a prediction is another question.
    assert hits(rows_for(predicted, reviewed, parent_prediction=None)) == expected


def test_what_was_deleted_is_a_miss_whatever_was_kept_or_drawn():
    predicted = [point(25, 25), box(20, 20, 10, 10)]
    for left in ([predicted[1]], [box(20, 20, 10, 10, id="new")], [point(25, 25, id="new")], []):
        assert hits(rows_for(predicted, left)) == [False]
    assert hits(rows_for(predicted[1:], [box(20, 20, 10, 10, id="new")])) == [False]
    small = track([key(1, 10)], id="t")
    assert hits(rows_for([small], [track([key(1, 10)], id="new")])) == [False]
    # Of a prediction that was not the one shown nothing is known to be deleted.
    assert hits(rows_for(predicted, [box(20, 20, 10, 10, id="new")], parent_prediction=9)) == [True]


def drawn(type_, value, **more):
    """A region a reviewer drew on 100 x 100 pixels."""
    return {**box(0, 0, 1, 1, id="drawn"), "type": type_, "value": value, **more}


ELLIPSE = drawn("ellipselabels", {"x": 50, "y": 50, "radiusX": 40, "radiusY": 10, "rotation": 0,
                                  "ellipselabels": ["action"]})  # fmt: skip
POLYGON = drawn("polygonlabels", {"points": [[10, 10], [90, 10], [90, 30], [30, 30], [30, 90],
                                             [10, 90]], "polygonlabels": ["action"]})  # fmt: skip


@pytest.mark.parametrize(
    ("region", "at", "expected"),
    [
        (ELLIPSE, (50, 50), True),
        (ELLIPSE, (85, 50), True),
        (ELLIPSE, (85, 58), False),  # in the box round it, not within
        (POLYGON, (20, 80), True),
        (POLYGON, (80, 20), True),
        (POLYGON, (60, 60), False),
    ],
)
def test_ellipses_and_polygons_are_regions_of_the_action(region, at, expected):
    predicted = [point(*at)]
    assert hits(rows_for(predicted, [*predicted, region])) == [expected]
    # They count beside boxes of other actors, as a further box would.
    both = [box(96, 96, 2, 2, id="b"), region]
    assert hits(rows_for(predicted, [*predicted, *both])) == [expected]


def test_a_box_is_measured_by_the_ellipse_drawn_instead():
    rows = rows_for([box(10, 40, 80, 20)], [ELLIPSE])
    (measured,) = [row["iou"] for row in rows if row["kind"] == "box" and row.get("iou")]
    assert measured == pytest.approx(3.14159 / 4, abs=0.01)


def test_points_alone_judge_nothing_unless_they_replace_the_predicted_one():
    predicted, drawn = [point(25, 25)], [point(60, 60, id="new")]
    assert hits(rows_for(predicted, drawn)) == [False]
    alone = rows_for(predicted, drawn, parent_prediction=None)
    assert hits(alone) == []
    assert alone[1]["distance_diagonal"] == pytest.approx(35, abs=0.1)


def test_a_skipped_annotation_is_reported_and_not_counted():
    rows = rows_for([point(25, 25), box(20, 20, 9, 9)], [], was_cancelled=True)
    assert hits(rows) == []
    assert not any(row["counted"] for row in rows)
    assert set(outcomes(rows).values()) == {"skipped"}
    assert rows[0]["outcome"] == "skipped"


def test_boxes_of_another_frame_of_the_list_do_not_count():
    predicted = [point(25, 25, id="p0", item_index=0), point(25, 25, id="p1", item_index=1)]
    reviewed = [box(20, 20, 9, 9, id="b1", item_index=1), box(70, 70, 9, 9, id="b0", item_index=0)]
    assert hits(rows_for(predicted, [*predicted, *reviewed])) == [False, True]


def test_several_actions_on_one_frame_keep_to_their_own_boxes():
    predicted = [
        point(25, 25, id="p1", label="cut"),
        box(20, 20, 10, 10, id="b1", label="cut"),
        point(75, 75, id="p2", label="stir"),
        box(70, 70, 10, 10, id="b2", label="stir"),
    ]
    swapped = [box(20, 20, 10, 10, id="x", label="stir"), box(70, 70, 10, 10, id="y", label="cut")]
    assert hits(rows_for(predicted, [*predicted[::2], *swapped])) == [False, False]
    assert hits(rows_for(predicted, predicted)) == [True, True]
    # A box given another name is still the box of its point.
    renamed = [{**predicted[1], "value": {**predicted[1]["value"], "rectanglelabels": ["mix"]}}]
    assert hits(rows_for(predicted, [predicted[0], *renamed, *predicted[2:]])) == [True, True]


def test_points_of_one_label_are_told_apart_by_their_boxes():
    predicted = [
        point(25, 25, id="p1"),
        point(75, 75, id="p2"),
        box(20, 20, 10, 10, id="b1"),
        box(70, 70, 10, 10, id="b2"),
    ]
    moved = [box(70, 70, 10, 10, id="b1"), box(20, 20, 10, 10, id="b2")]
    assert hits(rows_for(predicted, [*predicted[:2], *moved])) == [False, False]


def test_labels_of_point_and_box_may_differ():
    predicted = [point(25, 25, label="contact"), box(20, 20, 10, 10, label="object")]
    assert hits(rows_for(predicted, predicted)) == [True]
    drawn = [predicted[0], box(20, 20, 10, 10, id="new", label="hand")]
    assert hits(rows_for(predicted, drawn)) == [True]  # the only box there is
    both = [box(60, 60, 9, 9, id="o", label="object"), box(20, 20, 10, 10, id="h", label="hand")]
    assert hits(rows_for(predicted, both)) == [False]  # the hand is not what it pointed at


def test_masks_are_the_truth_where_there_is_no_box():
    body = recorded("webhook_annotation_created_image_moved_keypoint")[0]
    regions = {r["id"]: r for r in body["annotation"]["result"]}

    def judged(x, y, *drawn):
        return hits(rows_for([point(x, y)], [point(x, y), *drawn]))

    assert judged(20, 60, regions["br1"]) == judged(20, 60, regions["bm1"]) != []
    assert judged(99, 1, regions["br1"]) == [False]
    assert judged(99, 1, regions["br1"], box(98, 0, 2, 2)) == [True]


def key(frame, x, enabled=True):
    numbers = {"x": x, "y": 40, "width": 10, "height": 20, "rotation": 0}
    return {"frame": frame, "enabled": enabled, "time": frame / 10, **numbers}


def test_a_track_is_judged_on_its_own_key_frames():
    truth = track([key(1, 10), key(21, 50)], id="t")
    inside = track([key(6, 20), key(11, 30), key(16, 40)], id="t")
    rows = rows_for([inside], [truth])
    assert hits(rows) == [True]
    assert rows[1]["iou"] == pytest.approx(1)
    late = track([key(6, 60), key(11, 70), key(16, 40)], id="t")
    assert hits(rows_for([late], [truth])) == [False]
    after = track([key(30, 50)], id="t")
    ended = track([key(1, 10), key(21, 50, enabled=False)], id="t")
    assert hits(rows_for([after], [ended])) == [False]
    assert hits(rows_for([after], [truth])) == [True]


def test_a_small_track_is_the_point_of_the_box_track_beside_it():
    def dot(frame, x, y):
        numbers = {"x": x, "y": y, "width": 2, "height": 2, "rotation": 0}
        return {"frame": frame, "enabled": True, "time": 0, **numbers}

    box_track = track([key(1, 10), key(21, 50)], id="box")
    inside = track([dot(1, 14, 50), dot(21, 54, 50)], id="dot")
    outside = track([dot(1, 80, 50), dot(21, 90, 50)], id="dot")
    for dots, hit in ((inside, True), (outside, False)):
        # Left where it was, a dot is no truth about itself.
        rows = rows_for([dots, box_track], [dots, box_track])
        assert hits(rows) == [hit]
        by_region = {row.get("region"): row for row in rows}
        assert by_region["dot"]["hit"] is hit
        assert by_region["box"]["iou"] == pytest.approx(1)
    assert hits(rows_for([inside], [inside])) == []  # nothing to judge it by


def test_the_recorded_video_annotation_is_an_accepted_hit():
    body = recorded("webhook_annotation_created_video")[0]
    made = body["annotation"]
    rows = rows_for(made["prediction"]["result"], made["result"])
    assert hits(rows) == [True]
    assert rows[0]["outcome"] == "accepted"


def test_outcome_of_each_region():
    predicted = [
        point(25, 25, id="same"),
        point(25, 25, id="moved"),
        box(20, 20, 10, 10, id="shifted"),
        box(20, 20, 10, 10, id="grown"),
        box(20, 20, 10, 10, id="renamed"),
        box(20, 20, 10, 10, id="gone"),
    ]
    reviewed = [
        point(25.000000000000004, 25, id="same"),
        point(35, 25, id="moved"),
        box(30, 20, 10, 10, id="shifted"),
        box(20, 20, 15, 10, id="grown"),
        box(20, 20, 10, 10, id="renamed", label="other"),
        box(1, 1, 5, 5, id="new"),
    ]
    rows = rows_for(predicted, reviewed)
    assert outcomes(rows) == {
        "same": "accepted",
        "moved": "moved",
        "shifted": "moved",
        "grown": "resized",
        "renamed": "relabelled",
        "gone": "deleted",
        "new": "added",
    }
    assert rows[0]["outcome"] == "edited"
    assert rows_for(predicted, predicted)[0]["outcome"] == "accepted"
    assert rows_for(predicted, reviewed, parent_prediction=None)[0]["outcome"] == "independent"


def test_correction_distance_in_diagonals_and_box_sides():
    predicted = [point(20, 20), box(10, 10, 20, 20)]
    rows = rows_for(predicted, [point(40, 20), box(30, 10, 20, 20)])
    pixels = 0.2 * 640
    at = {row["kind"]: row for row in rows}
    assert at["point"]["distance_diagonal"] == pytest.approx(
        100 * pixels / (640**2 + 360**2) ** 0.5
    )
    side = (0.2 * 640 * 0.2 * 360) ** 0.5
    assert at["point"]["distance_side"] == pytest.approx(100 * pixels / side)
    assert at["box"]["iou"] == pytest.approx(0)


spans = st.tuples(*[st.floats(0, 60)] * 2, *[st.floats(1, 40)] * 2)


@given(a=spans, b=spans, x=st.floats(0, 100), y=st.floats(0, 100))
def test_scores_agree_with_plain_arithmetic(a, b, x, y):
    rows = rows_for([point(x, y), box(*a)], [point(x, y), box(*b)])
    eps = 1e-6
    inside = b[0] - eps <= x <= b[0] + b[2] + eps and b[1] - eps <= y <= b[1] + b[3] + eps
    outside = not (b[0] <= x <= b[0] + b[2] and b[1] <= y <= b[1] + b[3])
    (found,) = hits(rows)
    assert found == inside or outside  # within a millionth of an edge both answers are right
    xyxy = [(v[0], v[1], v[0] + v[2], v[1] + v[3]) for v in (a, b)]
    iou = next(row["iou"] for row in rows if row["kind"] == "box")
    assert iou == pytest.approx(box_iou(*xyxy), abs=1e-9)


@given(order=st.permutations([0, 1, 2, 3]))
def test_the_order_of_regions_does_not_matter(order):
    predicted = [point(25, 25, id="p"), box(20, 20, 10, 10, id="b")]
    reviewed = [
        point(25, 25, id="p"),
        box(40, 40, 10, 10, id="b"),
        box(20, 20, 10, 10, id="c"),
        box(1, 1, 2, 2, id="d", label="other"),
    ]
    rows = rows_for(predicted, [reviewed[i] for i in order])
    assert hits(rows) == [True]
    assert outcomes(rows) == {"p": "accepted", "b": "moved", "c": "added", "d": "added"}


def nameless(*regions):
    """As systems give them that name no regions."""
    return [{k: v for k, v in region.items() if k != "id"} for region in regions]


def shown(region, id, origin="prediction", **value):
    """As Label Studio's editor gives a region back."""
    return {**region, "id": id, "origin": origin, "value": {**region["value"], **value}}


def test_predictions_without_region_ids_are_told_by_place():
    guess = nameless(point(25, 25), point(75, 75), box(20, 20, 10, 10), box(70, 70, 10, 10))
    left = [shown(region, f"new{k}") for k, region in enumerate(reversed(guess))]
    rows = rows_for(guess, left)
    assert rows[0]["outcome"] == "accepted"
    assert [row["outcome"] for row in rows[1:]] == ["accepted"] * 4
    assert hits(rows) == [True, True]

    moved = shown(guess[2], "new9", "prediction-changed", x=60)
    found = rows_for(guess, [left[0], *left[2:], moved])
    assert sorted(row["outcome"] for row in found[1:]) == ["accepted"] * 3 + ["moved"]
    gone = rows_for(guess, left[:3])
    assert sorted(row["outcome"] for row in gone[1:]) == ["accepted"] * 3 + ["deleted"]
    drawn = shown(guess[0], "mine", "manual")
    found = rows_for(guess, [*left[:3], drawn])
    assert sorted(row["outcome"] for row in found[1:]) == ["accepted"] * 3 + ["added", "deleted"]


def test_annotations_made_of_predictions_in_bulk_are_no_review():
    predicted = [point(25, 25), box(20, 20, 10, 10)]
    rows = rows_for(predicted, predicted, lead_time=None)
    assert rows[0]["outcome"] == "bulk"
    assert not any(row["counted"] for row in rows)
    assert set(outcomes(rows).values()) == {"bulk"}
    assert hits(rows) == []
    # Somebody opened it, changed it, or stands for it.
    assert rows_for(predicted, predicted)[0]["outcome"] == "accepted"
    assert rows_for(predicted, predicted[1:], lead_time=None)[0]["outcome"] == "edited"
    truth = rows_for(predicted, predicted, lead_time=None, ground_truth=True)
    assert (truth[0]["outcome"], hits(truth)) == ("accepted", [True])


def test_the_recorded_bulk_annotation_is_known_as_one():
    [body] = recorded("webhook_annotations_created")
    [made] = body["annotation"]
    assert is_bulk({**made, "parent_prediction": made["parent_prediction"]})
    single = recorded("webhook_annotation_created_image")[0]["annotation"]
    assert not is_bulk(single)


def test_a_wrong_point_that_was_left_where_it_was_is_as_far_off_as_its_box():
    predicted = [point(25, 25), box(20, 20, 10, 10)]
    rows = rows_for(predicted, [predicted[0], box(60, 20, 10, 10)])
    (row,) = [row for row in rows if row["kind"] == "point"]
    pixels = 0.4 * 640  # from 25 to the box's middle, 65, in percent of 640
    assert row["distance_diagonal"] == pytest.approx(100 * pixels / (640**2 + 360**2) ** 0.5)
    (gone,) = [r for r in rows_for(predicted, [predicted[1]]) if r["kind"] == "point"]
    assert gone["distance_diagonal"] == pytest.approx(0)  # the box's middle is where it was
    (kept,) = [r for r in rows_for(predicted, predicted) if r["kind"] == "point"]
    assert kept["distance_diagonal"] == 0


def versions(*names):
    """A task's predictions, the oldest first: one point each, ever farther to the right."""
    changes = Changes()
    for k, name in enumerate(names):
        at = f"2026-11-2{k}T00:00:00.000000Z"
        row = {"result": [point(10 + 10 * k, 50)], "model_version": name, "id": k, "created_at": at}
        changes.predictions.append(prediction_row(row, task_id=1, project_id=1, received_at=at))
    return changes.predictions


def scored(predictions, *made):
    changes = Changes()
    for one in made:
        read_annotation(one, changes, "2026-11-24T00:00:00.000000Z", 1, 1, "0")
    rows = [{**row, "deleted_at": None} for row in changes.annotations]
    return [{**row, **row["data"]} for row in score_task(None, rows, predictions)]


def test_independent_annotations_judge_every_version_and_count_for_the_one_in_use():
    drawn = annotation(1, [box(5, 40, 10, 20, id="drawn")])
    rows = scored(versions("v1", "v1", "v2"), drawn)
    points = [row for row in rows if row["kind"] == "point"]
    assert [(row["model_version"], row["hit"], row["counted"]) for row in points] == [
        ("v2", False, True),
        ("v1", False, False),  # the newer of v1's, at 20
    ]
    assert points[1]["compared"] is True
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert [row["kind"] for row in rows].count("annotation") == 1
    # The first version in use again: its prediction is the newest.
    again = scored(versions("v2", "v1"), drawn)
    assert again[0]["model_version"] == "v1"
    # Started from a prediction: it judges that one alone.
    started = scored(versions("v1", "v2"), {**drawn, "parent_prediction": 0})
    assert {row["model_version"] for row in started} == {"v1"}
