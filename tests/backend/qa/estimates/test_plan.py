"""Which tasks come next: how many of each stratum, and with what chance each was drawn."""

from collections import Counter

import numpy as np
import pytest

from backend.qa.estimates.plan import Round, allocate, draw, drawn

SCORES = {task: task / 1000 for task in range(1000)}


def counts_of(one: Round) -> list[int]:
    return [len(tasks) for tasks in one.chosen]


def test_the_first_round_is_even_over_strata_of_equal_size():
    first = draw(SCORES, 100)
    assert counts_of(first) == [10] * 10
    assert sorted(task for tasks in first.members for task in tasks) == list(range(1000))
    assert all(set(c) <= set(m) for c, m in zip(first.chosen, first.members, strict=True))


def test_later_rounds_look_where_it_is_doubtful_and_never_twice():
    rounds = [draw(SCORES, 100)]
    hits = {task: float(task >= 500) for tasks in rounds[0].chosen for task in tasks}
    rounds.append(draw(SCORES, 300, rounds=rounds, hits=hits))
    counts = counts_of(rounds[1])
    assert sum(counts) == 300
    assert min(counts[4:6]) > 3 * max(counts[0], counts[9])
    assert min(counts) > 0  # the even share
    chosen = Counter(task for one in rounds for task in one.tasks())
    assert max(chosen.values()) == 1
    assert rounds[1].members == [[]] * 10


def test_the_same_seed_draws_the_same_and_another_another():
    assert draw(SCORES, 50, seed=1) == draw(SCORES, 50, seed=1)
    assert draw(SCORES, 50, seed=1) != draw(SCORES, 50, seed=2)


def test_chances_are_those_of_many_draws():
    # 400 tasks; 200 more come after the first round. The chance of each must be how often it comes.
    early = {task: task / 600 for task in range(400)}
    all_scores = {task: (task % 400) / 600 for task in range(600)}
    came, told = Counter(), Counter()
    runs = 300
    for seed in range(runs):
        rounds = [draw(early, 80, seed=seed)]
        rounds.append(draw(all_scores, 60, rounds=rounds, seed=seed + runs))
        found = drawn(rounds)
        for task in found.chosen:
            came[task < 400] += 1
            told[task < 400] += 1 / found.chances[task]
    # The inverse chances of the drawn tasks sum to how many tasks there are.
    assert told[True] / runs == pytest.approx(400, rel=0.01)
    assert told[False] / runs == pytest.approx(200, rel=0.03)
    assert came[True] > 2 * came[False]


def test_tasks_without_a_score_are_a_stratum_of_their_own():
    some = {**SCORES, **{task: None for task in range(1000, 1100)}}
    first = draw(some, 110)
    assert sorted(first.members[0]) == list(range(1000, 1100))
    assert len(first.chosen[0]) == 10
    assert counts_of(draw(dict.fromkeys(range(20)), 5)) == [5]


def test_a_budget_beyond_what_is_left_takes_all():
    first = draw(SCORES, 5000)
    assert len(first.tasks()) == 1000
    assert draw(SCORES, 10, rounds=[first]).tasks() == []


@pytest.mark.parametrize(("budget", "share"), [(0, 0.2), (10, 0.0), (10, 1.5)])
def test_what_no_plan_can_be_made_of(budget, share):
    with pytest.raises(ValueError, match=r"budget|share"):
        draw(SCORES, budget, even_share=share)


@pytest.mark.parametrize("seed", range(20))
def test_allocations_spend_the_budget_within_what_is_left(seed):
    rng = np.random.default_rng(seed)
    wanted, done, free = rng.random(7), rng.integers(0, 30, 7) * 1.0, rng.integers(0, 40, 7) * 1.0
    budget = int(rng.integers(1, 200))
    counts = allocate(wanted, done, free, budget)
    assert sum(counts) == min(budget, int(free.sum()))
    assert all(0 <= count <= left for count, left in zip(counts, free, strict=True))
