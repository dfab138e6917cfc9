"""Measures of a score against their definitions, written naively."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videogem.confidence.quality import (
    auroc,
    calibration_error,
    grouped_interval,
    reliability,
    risk_coverage,
)

RATED = st.lists(st.tuples(st.integers(0, 6).map(lambda n: n / 6), st.booleans()), min_size=1)


@given(RATED)
def test_auroc_is_the_share_of_pairs_in_order(rated):
    scores, right = np.array([s for s, _ in rated]), np.array([r for _, r in rated])
    pairs = [(a > b) + (a == b) / 2 for a in scores[right] for b in scores[~right]]
    found = auroc(scores, right)
    assert math.isnan(found) if not pairs else found == pytest.approx(np.mean(pairs))


@given(RATED)
def test_risk_is_that_of_the_surest(rated):
    scores, right = np.array([s for s, _ in rated]), np.array([r for _, r in rated])
    coverage, risk = risk_coverage(scores, right)
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    for count in range(1, len(scores) + 1):
        assert coverage[count - 1] == pytest.approx(count / len(scores))
        assert risk[count - 1] == pytest.approx(1 - np.mean(right[order[:count]]))


def test_bins_hold_about_as_many_each_and_all_of_them():
    rng = np.random.default_rng(0)
    scores, right = rng.random(95), rng.random(95) < 0.5
    found = reliability(scores, right)
    assert [each.number for each in found] == [10] * 5 + [9] * 5
    assert sum(each.number * each.share for each in found) == pytest.approx(right.sum())
    assert [each.score for each in found] == sorted(each.score for each in found)


def test_the_calibration_error_is_the_distance_of_a_shifted_score():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.2, 0.8, 40_000)
    right = rng.random(40_000) < chance
    assert calibration_error(chance, right) < 0.01
    assert calibration_error(chance + 0.1, right) == pytest.approx(0.1, abs=0.01)
    assert calibration_error(np.ones(4), np.array([True, False, False, False])) == 0.75


def test_intervals_draw_whole_groups():
    values = np.repeat([0.0, 1.0], 500)
    one = grouped_interval(lambda rows: float(values[rows].mean()), ["a"] * 1000)
    two = grouped_interval(lambda rows: float(values[rows].mean()), ["a"] * 500 + ["b"] * 500)
    assert one[1] - one[0] < 0.1
    assert two == (0.0, 1.0)  # of two videos, one may be drawn twice
