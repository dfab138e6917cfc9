"""Whether one run is better than another."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from videogem.errors import InputError
from videogem.evaluation import Outcome
from videogem.evaluation.compare import compare, compare_runs, holm, sign_flip_p_value


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
