"""Choosing finds a gain that is there and none that is not; what judges has no say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videogem.calibration.calibrate import LEAST_SAMPLES, LEAST_VIDEOS, calibrate
from videogem.calibration.candidates import Measurements
from videogem.calibration.choosing import choose, compare, nested, split
from videogem.confidence.fitting import fit_scoring
from videogem.method.settings import MethodSettings
from videogem.metrics import difference_interval
from videogem.structures import Signals

USUAL = {"merge_weights": (0.2, 0.2, 0.6), "box_threshold": 0.5}


def world(count=200, videos=40, *, gain=0.0, choices=6, hit_rate=0.8, seed=0):
    """Corrections under several choices; the last has another overlap by ``gain``."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(0.6, 0.1, videos)[np.arange(count) % videos]
    overlaps = np.clip(levels[:, None] + rng.normal(0, 0.1, (count, choices)), 0, 1)
    overlaps[:, -1] = np.clip(overlaps[:, 0] + gain + rng.normal(0, 0.02, count), 0, 1)
    values = rng.normal(0.3, 0.1, (count, 9))
    chance = 1 / (1 + np.exp(-(20 * (values[:, 6] - 0.3) + np.log(hit_rate / (1 - hit_rate)))))
    hits = np.repeat((rng.random(count) < chance)[:, None], choices, axis=1)
    signals = tuple((Signals(*row),) for row in values.tolist())
    options = tuple({**USUAL, "box_threshold": 0.5 + number / 100} for number in range(choices))
    return Measurements(
        options, hits, overlaps, signals, tuple(f"v{i % videos}" for i in range(count))
    )


def scoring(seed=9):
    known = world(600, seed=seed)
    signals = known.signals_of(0)
    present = np.array([each.action > 0.25 for each in signals])
    return fit_scoring("usual", signals, known.hits[:, 0], present)


def test_a_gain_that_is_there_is_chosen_and_measured():
    found = nested(world(gain=0.05))
    assert found.choice == 5
    assert found.overlap.is_gain
    assert found.overlap.after - found.overlap.before == pytest.approx(0.05, abs=0.02)


def test_without_a_gain_all_stays_in_nearly_every_project():
    usual = scoring()
    made = [calibrate(world(seed=seed), MethodSettings(), usual, "p") for seed in range(8)]
    assert sum(bool(each.settings) for each in made) <= 1
    assert all(
        any("settings stay" in r for r in each.reasons) for each in made if not each.settings
    )


def test_a_choice_whose_points_hit_less_often_is_not_taken():
    made = world(gain=0.1)
    hits = made.hits.copy()
    hits[::3, -1] = False
    worse = Measurements(made.choices, hits, made.overlaps, made.signals, made.videos)
    assert choose(worse) != 5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(0, 5))
def test_videos_are_held_out_whole_and_each_row_once(labels, seed):
    clusters = np.unique(labels, return_inverse=True)[1]
    judged = []
    for train, test in split(clusters, 5, seed):
        assert not set(clusters[train]) & set(clusters[test])
        assert sorted([*train, *test]) == list(range(len(labels)))
        judged += test.tolist()
    assert sorted(judged) == list(range(len(labels)))


def test_what_judges_has_no_say():
    """Another outcome of the held-out videos leaves the choice that they are judged by."""
    made = world(gain=0.05)
    train, test = next(split(made.clusters, 5, 0))
    changed = made.overlaps.copy()
    changed[test] = 1 - changed[test]
    other = Measurements(made.choices, made.hits, changed, made.signals, made.videos)
    assert choose(made.take(train)) == choose(other.take(train))


def test_intervals_are_of_paired_differences_by_video():
    rng = np.random.default_rng(0)
    before, after = rng.random(90), rng.random(90)
    clusters = np.arange(90) % 9
    sums = [float((after - before)[clusters == c].sum()) for c in range(9)]
    found = compare(before, after, clusters)
    assert (found.low, found.high) == pytest.approx(difference_interval(sums, [10] * 9))
    same = compare(before, before, clusters)
    assert (same.low, same.high) == (0.0, 0.0) and not same.is_gain and not same.is_loss


@pytest.mark.parametrize(("count", "videos"), [(LEAST_SAMPLES - 1, 40), (200, LEAST_VIDEOS - 1)])
def test_too_little_is_refused_with_what_is_needed(count, videos):
    made = calibrate(world(count, videos), MethodSettings(), scoring(), "p")
    assert not made.is_gain
    assert f"{count} corrections of {min(count, videos)} videos are too few" in made.reasons[0]


def test_without_misses_the_score_stays():
    known = world()
    hits = np.ones_like(known.hits)
    sure = Measurements(known.choices, hits, known.overlaps, known.signals, known.videos)
    made = calibrate(sure, MethodSettings(), scoring(), "p")
    assert made.scoring is None
    assert any("200 hits and 0 misses" in reason for reason in made.reasons)


def test_a_score_that_fits_this_project_is_made_and_keeps_its_word_better():
    optimist = scoring()
    shy = world(hit_rate=0.5, seed=3)
    made = calibrate(shy, MethodSettings(), optimist, "shy")
    assert made.scoring is not None and made.rescored is not None
    fresh = world(2000, 200, hit_rate=0.5, seed=4)
    right = fresh.hits[:, 0]

    def squared(model):
        return np.mean(
            [(model.chance(s) - y) ** 2 for s, y in zip(fresh.signals_of(0), right, strict=True)]
        )

    assert squared(made.scoring.point) < squared(optimist.point)
    assert made.rescored.error_after < made.rescored.error_before
    assert made.scoring.presence == optimist.presence  # corrections say nothing of it


def test_a_model_without_a_score_gets_one():
    made = calibrate(world(), MethodSettings(), None, "mine")
    assert made.scoring is not None and made.scoring.presence is None
    assert made.scoring.name == "mine"
