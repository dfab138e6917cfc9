"""From which score on predictions may be accepted: the promise holds, and doubt is said."""

import math

import numpy as np
import pytest
from scipy import stats

from backend.qa.estimates.acceptance import Reviewed, accept_from, fewest, p_value, spent_at
from backend.qa.estimates.plan import draw, drawn
from benchmarks.reviews_saved import world
from tests.review_world import risk_from


def reviewed(scores, right, *, videos=None, chances=None, is_drawn=True):
    n = len(scores)
    return Reviewed(
        scores=np.asarray(scores, dtype=np.float64),
        right=np.asarray(right, dtype=np.float64),
        chances=np.ones(n) if chances is None else np.asarray(chances, dtype=np.float64),
        videos=np.arange(n) if videos is None else np.asarray(videos),
        is_drawn=is_drawn,
    )


def uniform_reviews(made, count, seed):
    """Reviews of tasks drawn without a look at the score."""
    hits = np.asarray(list(made.hits.values()), dtype=np.float64)
    right = np.full(len(hits), np.nan)
    chosen = np.random.default_rng([9, seed]).choice(len(hits), count, replace=False)
    right[chosen] = hits[chosen]
    return reviewed(list(made.scores.values()), right)


def test_p_values_and_fewest_reviews_are_those_of_the_binomial_test():
    for wrong, tested in ((0, 45), (1, 77), (3, 60), (7, 90)):
        exact = stats.binomtest(wrong, tested, 0.05, alternative="less").pvalue
        assert p_value(wrong, tested, 0.05) == pytest.approx(exact, rel=1e-9)
    for wrong in range(5):
        needed = fewest(0.05, 0.1, wrong)
        assert (
            stats.binom.cdf(wrong, needed, 0.05) <= 0.1 < stats.binom.cdf(wrong, needed - 1, 0.05)
        )
    assert fewest(0.05, 0.1) == 45  # log 0.1 / log 0.95


def test_looks_together_may_err_no_more_than_one():
    assert sum(spent_at(look) for look in range(1, 2000)) < 1
    assert spent_at(1) == 0.5
    with pytest.raises(ValueError, match="from 1"):
        spent_at(0)


def test_sure_tasks_are_accepted_and_doubtful_ones_are_not():
    # Scores tell all: the upper 60 % are right. All are reviewed.
    scores = np.arange(1000) / 1000
    found = accept_from(reviewed(scores, scores >= 0.4))
    assert 0.36 < found.least_score < 0.41
    assert found.tasks == (scores >= found.least_score).sum()
    assert found.wrong / found.tested < 0.05
    assert found.needed == 0


def test_it_is_a_walk_down_the_thresholds_by_the_exact_test():
    # An independent walk: every threshold, scipy's test, plain loops.
    for seed in range(30):
        made = world(1500, 0.85, 0.9, np.random.default_rng([2, seed]))
        given = uniform_reviews(made, 300, seed)
        found = accept_from(given)
        tried = []
        for step in range(1, 41):
            least = np.sort(given.scores)[int((1 - step / 40) * (len(given.scores) - 1))]
            known = (given.scores >= least) & ~np.isnan(given.right)
            tried.append((least, int(known.sum()), int((given.right[known] == 0).sum())))
        borne = 0
        while stats.binom.ppf(0.05, int(0.4 * tried[-1][1]), 0.05) > borne + 1:
            borne += 1
        begun, least_score = False, None
        for least, tested, wrong in tried:
            p = stats.binomtest(wrong, tested, 0.05, alternative="less").pvalue if tested else 1
            begun = begun or tested >= fewest(0.05, 0.05, borne)
            if begun and p > 0.05:
                break
            if begun:
                least_score = least
        assert found.least_score == least_score


def test_that_none_can_be_given_is_an_answer_with_its_reason():
    few = accept_from(uniform_reviews(world(500, 0.9, 0.9, np.random.default_rng(0)), 20, 0))
    assert few.least_score is None
    assert "not enough to say that 95 % are right" in few.reason
    # All further ones right would do: then it passes at the second look's level.
    assert p_value(few.wrong, few.tested + few.needed, 0.05) <= 0.1 * spent_at(2)
    poor = accept_from(uniform_reviews(world(800, 0.5, 0.5, np.random.default_rng(0)), 400, 0))
    assert poor.least_score is None
    assert poor.needed > 10
    none = accept_from(reviewed([np.nan] * 5, [1.0] * 5))
    assert (none.least_score, none.reason) == (None, "no task has such a score")


def test_tasks_without_a_score_are_never_accepted():
    scores = np.r_[np.full(300, np.nan), np.linspace(0, 1, 300)]
    found = accept_from(reviewed(scores, np.ones(600)))
    assert found.tasks == 300


def test_a_withdrawn_threshold_is_not_given_again():
    scores = np.arange(1000) / 1000
    first = accept_from(reviewed(scores, scores >= 0.4))
    second = accept_from(reviewed(scores, scores >= 0.4), above=first.least_score)
    assert second.least_score > first.least_score


@pytest.mark.parametrize(("precision", "confidence"), [(0, 0.9), (1, 0.9), (0.9, 0), (0.9, 1)])
def test_a_promise_must_be_possible(precision, confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        accept_from(reviewed([0.5], [1.0]), precision=precision, confidence=confidence)


def test_tasks_with_a_larger_chance_of_review_count_no_more():
    # Ten times as many of the wrong ones were drawn; half of all tasks are wrong.
    rng = np.random.default_rng(0)
    wrong = rng.random(20_000) < 0.5
    chances = np.where(wrong, 0.5, 0.05)
    known = rng.random(20_000) < chances
    right = np.where(known, 1.0 - wrong, np.nan)
    found = accept_from(reviewed(rng.random(20_000), right, chances=chances))
    assert found.least_score is None
    assert found.wrong / found.tested == pytest.approx(0.5, abs=0.2)
    everything = reviewed(np.ones(20_000), right, chances=chances)
    one = accept_from(everything)
    assert one.wrong / one.tested == pytest.approx(0.5, abs=0.05)


def test_one_long_video_is_one_review():
    # 400 right tasks of four videos say little, of 400 videos a lot.
    scores, right = np.full(400, 0.9), np.ones(400)
    alone = accept_from(reviewed(scores, right, is_drawn=False))
    alike = accept_from(reviewed(scores, right, videos=np.arange(400) // 100, is_drawn=False))
    assert alone.least_score == 0.9
    assert alike.least_score is None
    assert alike.tested == 4
    assert accept_from(reviewed(scores, right, videos=np.arange(400) // 100)).least_score == 0.9


def broken_promises(runs, simulate):
    """Share of simulated projects that were given a threshold which breaks its promise."""
    return np.mean([simulate(run) for run in range(runs)])


# The chance of an error may be .1 at one look in all; the first look has half of it. 400 runs: .05
# + 3 standard errors is .083.
ONCE = 0.083


def test_the_promise_holds_where_it_is_hardest():
    # Nothing is right often enough, by a hair, and the score says nothing: any acceptance is wrong.
    def simulate(run):
        made = world(1000, 0.9499, 0.5, np.random.default_rng([4, run]))
        return accept_from(uniform_reviews(made, 400, run)).least_score is not None

    assert broken_promises(400, simulate) <= ONCE


def test_the_promise_holds_for_reviews_by_plan_and_accepts_much():
    given = []

    def simulate(run):
        made = world(2000, 0.88, 0.85, np.random.default_rng([5, run]))
        hits = {task: float(hit) for task, hit in made.hits.items()}
        rounds, known = [], {}
        for number in range(2):
            rounds.append(draw(made.scores, 200, rounds=rounds, hits=known, seed=2 * run + number))
            known |= {task: hits[task] for task in rounds[-1].tasks()}
        seen = drawn(rounds)
        tasks = sorted(hits)
        found = accept_from(
            reviewed(
                [made.scores[t] for t in tasks], [known.get(t, np.nan) for t in tasks],
                chances=[seen.chances.get(t, 1.0) for t in tasks],
            )
        )  # fmt: skip
        given.append(found.tasks / 2000)
        least = found.least_score
        return least is not None and risk_from(least, 0.88, 0.85) > 0.05

    assert broken_promises(200, simulate) <= 0.1
    assert np.mean(given) > 0.2


def test_the_promise_holds_for_videos_that_are_alike_and_of_unequal_size():
    # Large videos are worse: to count videos instead of tasks would promise too much. In all 92 %
    # of tasks are right.
    def simulate(run):
        rng = np.random.default_rng([6, run])
        large = rng.random(300) < 0.2
        sizes = np.where(large, 20, 4)
        good = rng.random(300) < np.where(large, 0.88, 0.995)  # nearly all of a video is alike
        videos = np.repeat(np.arange(300), sizes)
        hits = np.where(rng.random(len(videos)) < 0.95, good[videos], rng.random(len(videos)) < 0.9)
        right = np.where(rng.random(300)[videos] < 0.8, hits.astype(float), np.nan)
        found = accept_from(reviewed(np.full(len(videos), 0.9), right, videos=videos,
                                     is_drawn=False))  # fmt: skip
        return found.least_score is not None

    assert broken_promises(300, simulate) <= 0.09


def test_looking_again_and_again_does_not_break_the_promise():
    def simulate(run):
        made = world(1000, 0.9499, 0.5, np.random.default_rng([8, run]))
        order = np.random.default_rng(run).permutation(1000)
        hits = np.asarray(list(made.hits.values()), dtype=np.float64)
        for look in range(1, 9):
            right = np.full(1000, np.nan)
            right[order[: 80 * look]] = hits[order[: 80 * look]]
            if accept_from(reviewed(list(made.scores.values()), right), look=look).least_score:
                return True
        return False

    assert broken_promises(200, simulate) <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / 200)
