"""Shares and means: one predicted point is one, and intervals are over videos."""

import numpy as np
import pytest

from backend.qa import tally
from backend.qa.curve import curve as curve_of
from backend.qa.figures import cluster_of, mean, point_of, share
from backend.qa.report import keypoints_only
from backend.qa.table import Table
from videogem.metrics import Clusters, wilson_interval

ALIKE = 0.3  # correlation of hits within a video


def pointing(rows):
    return tally.pointing(Table.of(rows))


def mean_of_points(rows, name):
    return tally.mean_of_points(Table.of(rows), name)


def curve(rows):
    return curve_of(Table.of(rows))


def row(hit, task, video="", annotator=1, **more):
    """A score row of a predicted point, as far as figures need it."""
    return {"server": "", "task_id": task, "model_version": "m", "kind": "point", "item": 0,
            "place": "kp", "told_video": video, "hit": hit, "at": f"{task:06d}",
            "outcome": "accepted", "annotator": annotator, **more}  # fmt: skip


def test_one_point_reviewed_by_twenty_is_one_point():
    rows = [row(True, 1, annotator=k) for k in range(20)]
    assert pointing(rows) == {**share(1, 1), "clusters": 1}


@pytest.mark.parametrize(
    ("reviews", "hits"), [([True, False], 1), ([True, False, False], 0), ([False], 0)]
)
def test_a_point_hits_when_it_does_in_at_least_half_of_its_reviews(reviews, hits):
    rows = [row(hit, 1, annotator=k) for k, hit in enumerate(reviews)]
    assert (pointing(rows)["hits"], pointing(rows)["n"]) == (hits, 1)
    assert curve(rows)[-1]["accuracy"] == hits


def test_points_of_other_places_frames_versions_and_servers_are_others():
    first = row(True, 1)
    for other in ({"place": "kp2"}, {"item": 1}, {"model_version": "n"}, {"server": "b"}):
        assert pointing([first, {**first, **other}])["n"] == 2


def test_frames_of_one_video_are_one_cluster_and_images_are_their_own():
    rows = [row(k % 7 > 0, k, video=f"v{k % 12}") for k in range(120)]
    sums, sizes = [0] * 12, [0] * 12
    for k in range(120):
        sums[k % 12] += k % 7 > 0
        sizes[k % 12] += 1
    found = pointing(rows)
    assert (found["low"], found["high"]) == Clusters.of(sums, sizes).interval()
    assert found["clusters"] == 12
    alone = pointing([{**one, "told_video": ""} for one in rows])
    assert (alone["low"], alone["high"]) == wilson_interval(alone["hits"], 120)


def test_the_curve_ends_at_the_headline_where_points_are_reviewed_often():
    rng = np.random.default_rng(0)
    rows = [
        row(bool(rng.random() < 0.7), int(rng.integers(200)), f"v{rng.integers(30)}", annotator=k)
        for k in range(900)
    ]
    rows = [{**one, "told_video": f"v{one['task_id'] % 30}"} for one in rows]
    points = curve(rows)
    last = {name: points[-1][name] for name in ("n", "accuracy", "low", "high")}
    assert last == {name: pointing(rows)[name] for name in last}
    assert [p["n"] for p in points] == sorted({p["n"] for p in points})


def test_the_median_of_two_is_their_mean():
    assert mean([1.0, 4.0])["median"] == 2.5
    assert mean([3.0, 1.0, 10.0])["median"] == 3.0


def test_a_mean_is_over_points_and_its_interval_over_videos():
    rows = [row(True, 1, "a", iou=0.2), row(True, 1, "a", iou=0.4), row(True, 2, "b", iou=0.9)]
    found = mean_of_points(rows, "iou")
    assert (found["n"], found["mean"], found["median"]) == (
        2,
        pytest.approx(0.6),
        pytest.approx(0.6),
    )
    assert found["low"] < 0.6 < found["high"]
    same = mean_of_points([{**one, "told_video": "a"} for one in rows], "iou")
    assert (same["low"], same["high"]) == (None, None)  # one video tells nothing of others


def test_a_deleted_point_is_not_within_the_tolerance():
    near = row(None, 1, distance_diagonal=1.0)
    far = row(None, 2, distance_diagonal=9.0)
    gone = row(False, 3, outcome="deleted")
    wrong = row(False, 4, truth=[[[0, 0]]], distance_diagonal=1.0)
    found = keypoints_only(Table.of([near, far, gone, wrong]), 5.0)
    assert (found["hits"], found["n"]) == (1, 3)


def test_intervals_hold_the_truth_where_frames_of_a_video_are_alike():
    """As the page makes them: several reviews of each point, 30 videos of unequal length."""
    accuracy, runs = 0.8, 800
    rng = np.random.default_rng(0)
    scale = (1 - ALIKE) / ALIKE
    held = naive = 0
    for _ in range(runs):
        rows, task = [], 0
        for video, size in enumerate(rng.integers(1, 12, 30)):
            share_of_video = rng.beta(accuracy * scale, (1 - accuracy) * scale)
            for hit in rng.random(size) < share_of_video:
                task += 1
                rows += [row(bool(hit), task, f"v{video}", annotator=who) for who in range(3)]
        found = pointing(rows)
        held += found["low"] <= accuracy <= found["high"]
        low, high = wilson_interval(3 * found["hits"], 3 * found["n"])
        naive += low <= accuracy <= high
    assert 0.93 - 0.015 <= held / runs <= 0.97 + 0.015  # two standard errors of a rate of 800 runs
    assert naive / runs < 0.6


def test_what_is_one_point_and_one_cluster():
    assert point_of(row(True, 1)) == point_of(row(False, 1, annotator=7))
    assert cluster_of(row(True, 1, "v")) == cluster_of(row(True, 2, "v"))
    assert cluster_of(row(True, 1)) != cluster_of(row(True, 2))
