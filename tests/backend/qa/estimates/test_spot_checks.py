"""The evidence of spot checks: kept promises stay, broken ones are found."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from backend.qa.estimates.spot_checks import is_checked, is_contradicted, log_evidence


@pytest.mark.parametrize(("wrong", "checked"), [(0, 0), (0, 30), (3, 30), (10, 30), (30, 30)])
def test_evidence_is_the_mean_likelihood_ratio_over_all_higher_shares(wrong, checked):
    def ratio(share):
        return stats.binom.pmf(wrong, checked, share) / stats.binom.pmf(wrong, checked, 0.05)

    mean = integrate.quad(ratio, 0.05, 1, limit=200, points=[0.1, 0.3])[0] / 0.95
    assert log_evidence(wrong, checked, 0.05) == pytest.approx(math.log(mean), abs=1e-6)


def test_nothing_checked_contradicts_nothing():
    assert log_evidence(0, 0, 0.05) == pytest.approx(0)
    assert not is_contradicted(0, 0, 0.05)


def withdrawn(share, runs, checks=200):
    rng = np.random.default_rng(3)
    wrong = np.cumsum(rng.random((runs, checks)) < share, axis=1)
    bound = {  # misses at which each number of checks contradicts
        n: next((w for w in range(n + 1) if is_contradicted(w, n, 0.05)), n + 1)
        for n in range(1, checks + 1)
    }
    bounds = np.asarray([bound[n] for n in range(1, checks + 1)])
    return (wrong >= bounds).any(axis=1).mean()


def test_a_kept_promise_is_seldom_withdrawn_however_often_one_looks():
    assert withdrawn(0.05, 2000) <= 0.05


def test_a_broken_promise_is_found():
    assert withdrawn(0.15, 500) > 0.9
    assert is_contradicted(3, 4, 0.05)


def test_a_share_is_checked_and_which_does_not_hang_on_the_others():
    chosen = {task for task in range(5000) if is_checked(7, task, 0.1)}
    assert 420 < len(chosen) < 580
    assert chosen == {task for task in reversed(range(5000)) if is_checked(7, task, 0.1)}
    assert chosen != {task for task in range(5000) if is_checked(8, task, 0.1)}
