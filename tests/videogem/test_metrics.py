import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import t as student
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats.proportion import proportion_confint

from videogem import metrics
from videogem.method import quirks

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/boxes.json").read_text())
unit = st.floats(0, 1, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x1, x2 = sorted((draw(unit), draw(unit)))
    y1, y2 = sorted((draw(unit), draw(unit)))
    return x1, y1, x2, y2


@pytest.mark.parametrize(
    ("point", "targets", "expected"),
    [
        ((0.5, 0.5), [], False),
        ((0.2, 0.3), [(0.2, 0.3, 0.4, 0.6)], True),
        ((0.4, 0.6), [(0.2, 0.3, 0.4, 0.6)], True),
        ((0.41, 0.6), [(0.2, 0.3, 0.4, 0.6)], False),
        ((0.4, 0.61), [(0.2, 0.3, 0.4, 0.6)], False),
        ((3, 4), [(3, 4, 3, 4)], True),
        ((0.9, 0.9), [(0.0, 0.0, 0.1, 0.1), (0.8, 0.8, 1.0, 1.0)], True),
    ],
)
def test_hit_includes_edges_and_any_box(point, targets, expected):
    assert metrics.hit(point, targets) is expected


@given(st.lists(st.tuples(boxes(), boxes()), min_size=1, max_size=8))
def test_box_iou_agrees_with_torchvision(pairs):
    ours = [metrics.box_iou(a, b) for a, b in pairs]
    for (a, b), value in zip(pairs, ours, strict=True):
        reference = torchvision.ops.box_iou(
            torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
        )[0, 0]
        if torch.isnan(reference):  # torchvision divides by zero for two empty boxes
            reference = torch.tensor(0.0)
        assert value == pytest.approx(float(reference), abs=1e-12)


@given(boxes(), boxes())
def test_box_iou_is_symmetric_and_a_share(a, b):
    assert metrics.box_iou(a, b) == metrics.box_iou(b, a)
    assert 0 <= metrics.box_iou(a, b) <= 1 + 1e-12


@given(st.lists(boxes(), max_size=6), st.lists(boxes(), max_size=6))
def test_best_overlaps_of_many_are_those_of_each(a, b):
    of_a, of_b = metrics.best_ious(
        np.array(a, dtype=float).reshape(-1, 4), np.array(b, dtype=float).reshape(-1, 4)
    )
    assert of_a == pytest.approx([metrics.best_iou(box, b) for box in a])
    assert of_b == pytest.approx([metrics.best_iou(box, a) for box in b])


def test_box_iou_of_a_box_with_itself_and_of_empty_ones():
    assert metrics.box_iou((1, 1, 4, 3), (1, 1, 4, 3)) == 1
    assert metrics.box_iou((1, 1, 1, 3), (1, 1, 1, 3)) == 0
    assert metrics.box_iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0


def test_best_iou_takes_the_target_that_fits():
    assert metrics.best_iou((0, 0, 1, 1), [(5, 5, 6, 6), (0, 0, 1, 2)]) == 0.5
    assert metrics.best_iou((0, 0, 1, 1), []) == 0


def test_enclosing_box():
    assert metrics.enclosing_box([(2, 3, 4, 5), (1, 4, 3, 9)]) == (1, 3, 4, 9)
    with pytest.raises(ValueError):
        metrics.enclosing_box([])


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_statsmodels(counts):
    hits, n = counts
    for confidence in (0.8, 0.95, 0.99):
        expected = proportion_confint(hits, n, alpha=1 - confidence, method="wilson")
        assert metrics.wilson_interval(hits, n, confidence) == pytest.approx(expected, abs=1e-9)


def test_wilson_at_its_ends():
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)
    assert metrics.wilson_interval(0, 10)[0] == 0.0
    assert metrics.wilson_interval(10, 10)[1] == 1.0
    # Newcombe 1998, table I: 81 of 263 gives .2553 to .3662.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("hits", "n", "confidence"), [(2, 1, 0.95), (-1, 3, 0.95), (1, 2, 1.0)])
def test_wilson_refuses_what_is_no_share(hits, n, confidence):
    with pytest.raises(ValueError, match="must be in"):
        metrics.wilson_interval(hits, n, confidence)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=40))
def test_micro_and_macro_agree_with_loops(samples):
    outcomes = [outcome for outcome, _ in samples]
    labels = [label for _, label in samples]
    micro = metrics.pointing_accuracy(outcomes)
    by_label = metrics.accuracy_by_label(outcomes, labels)
    hits = 0
    for outcome in outcomes:
        hits += int(outcome)
    assert (micro.hits, micro.n) == (hits, len(samples))
    assert list(by_label) == sorted(set(labels))
    if not samples:
        assert micro.accuracy is None
        assert metrics.macro_accuracy(by_label) is None
        return
    shares = []
    for label in set(labels):
        own = [outcome for outcome, other in samples if other == label]
        shares.append(own.count(True) / len(own))
    assert micro.accuracy == pytest.approx(hits / len(samples))
    assert metrics.macro_accuracy(by_label) == pytest.approx(sum(shares) / len(shares))
    assert micro.low <= micro.accuracy <= micro.high


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_grid_rule_gives_the_reference_boxes_and_hits(case):
    size = tuple(case["size_wh"])
    box = quirks.grid_box(case["box_xyxy"], size)
    assert list(box) == case["box224"]
    unfiltered = quirks.grid_box(case["box_xyxy"], metrics.youcook_canvas(size))
    assert list(unfiltered) == case["box224_youcook_unfiltered"]
    assert [metrics.hit(point, [box]) for point in case["points"]] == case["hit"]


def test_grid_rule_rounds_halves_to_even():
    assert quirks.grid_box((0.5, 1.5, 2.5, 3.5), (224, 224)) == (0, 2, 2, 4)


@pytest.mark.parametrize(
    ("size", "canvas"),
    [((640, 360), (640, 360)), ((1280, 720), (640, 360)), ((568, 480), (568, 480))],
)
def test_youcook_canvas_needs_both_sides_past_the_cap(size, canvas):
    assert metrics.youcook_canvas(size) == canvas


def test_order_of_boxes_does_not_matter():
    rng = random.Random(1)
    targets = [(0.0, 0.0, 0.1, 0.1), (0.2, 0.2, 0.3, 0.3), (0.5, 0.5, 0.6, 0.6)]
    for _ in range(20):
        point = rng.random(), rng.random()
        assert metrics.hit(point, targets) == metrics.hit(point, targets[::-1])


# --- frames of one video ---------------------------------------------------------------------


def frames(rng: np.random.Generator, num_videos: int, alike: float = 0.3, share: float = 0.7):
    sizes = rng.integers(1, 20, num_videos)
    scale = (1 - alike) / alike
    return rng.binomial(sizes, rng.beta(share * scale, (1 - share) * scale, num_videos)), sizes


@given(st.lists(st.booleans(), max_size=30))
def test_samples_that_stand_alone_have_wilsons_interval(outcomes):
    expected = metrics.wilson_interval(sum(outcomes), len(outcomes))
    found = metrics.pointing_accuracy(outcomes, range(len(outcomes)))
    assert (found.low, found.high) == expected
    assert found == metrics.pointing_accuracy(outcomes)


def test_the_error_over_videos_is_that_of_a_clustered_logistic_regression():
    hits, sizes = frames(np.random.default_rng(0), 40)
    videos = np.repeat(np.arange(40), sizes)
    outcomes = np.concatenate([np.arange(n) < k for k, n in zip(hits, sizes, strict=True)])
    by_video = {"groups": videos, "use_correction": False}
    model = Logit(outcomes.astype(float), np.ones(len(videos)))
    fit = model.fit(disp=False, cov_type="cluster", cov_kwds=by_video)
    error = fit.bse[0] * np.sqrt(40 / 39)
    residuals = hits - hits.sum() / sizes.sum() * sizes
    freedom = 2 * np.square(residuals).sum() ** 2 / (residuals**4).sum()
    assert 2 < freedom < 39
    half = student.ppf(0.975, freedom) * error
    low, high = metrics.Clusters.of(hits.tolist(), sizes.tolist()).interval()
    assert (low, high) == pytest.approx(tuple(expit(fit.params[0] + [-half, half])), abs=1e-6)


def test_an_interval_over_videos_is_the_same_at_every_call_and_in_every_order():
    hits, sizes = (values.tolist() for values in frames(np.random.default_rng(1), 25))
    found = metrics.Clusters.of(hits, sizes).interval()
    assert found == metrics.Clusters.of(hits[::-1], sizes[::-1]).interval()
    assert found[0] < sum(hits) / sum(sizes) < found[1]


def test_ten_thousand_videos_take_no_time():
    hits, sizes = (values.tolist() for values in frames(np.random.default_rng(1), 10_000))
    low, high = metrics.Clusters.of(hits, sizes).interval()
    assert 0 < high - low < 0.02


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_an_interval_holds_its_share_and_stays_a_share(videos):
    sizes = [size for size, _ in videos]
    hits = [min(size, hit) for size, hit in videos]
    low, high = metrics.Clusters.of(hits, sizes).interval()
    assert 0 <= low <= sum(hits) / sum(sizes) <= high <= 1


def test_a_difference_of_single_items_has_students_interval():
    values = [1, 0, 0, -1, 1, 1, 0, 1, 0, 1, 0, 1]
    centred = np.array(values) - np.mean(values)
    freedom = 2 * np.square(centred).sum() ** 2 / (centred**4).sum()
    half = student.ppf(0.975, min(freedom, 11)) * np.std(values, ddof=1) / np.sqrt(12)
    found = metrics.difference_interval(values, [1] * 12)
    assert found == pytest.approx((np.mean(values) - half, np.mean(values) + half))
    assert metrics.difference_interval([0, 0, 0], [2, 3, 1]) == (0, 0)


@pytest.mark.parametrize("num_videos", [1, 2, 9])
def test_few_videos_count_as_one_sample_each(num_videos):
    found = metrics.Clusters.of([45] * num_videos, [50] * num_videos).interval()
    assert found == metrics.wilson_interval(0.9 * num_videos, num_videos)


def test_videos_that_are_all_hit_do_not_pretend_to_certainty():
    low, high = metrics.Clusters.of([20] * 15, [20] * 15).interval()
    assert (low, high) == metrics.wilson_interval(15, 15)


def test_labels_have_intervals_over_their_own_videos():
    outcomes = [True] * 10 + [False] * 10
    labels = ["a", "b"] * 10
    videos = [index // 10 for index in range(20)]
    found = metrics.accuracy_by_label(outcomes, labels, videos)
    assert (found["a"].low, found["a"].high) == metrics.wilson_interval(1, 2)


def test_an_interval_over_videos_needs_two_of_them():
    with pytest.raises(ValueError, match="two of them"):
        metrics.difference_interval([1], [2])
