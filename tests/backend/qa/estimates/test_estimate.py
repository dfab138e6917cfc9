"""The accuracy of all tasks: intervals hold what they promise, and doubt is said."""

import numpy as np
import pytest

from backend.qa.estimates.curve import edges_of, hit_curve, strata_of
from backend.qa.estimates.estimate import MIN_REVIEWS, Reviews, estimate
from benchmarks.reviews_saved import (
    by_plan,
    by_video,
    coverage,
    needed_uniformly,
    reviews_needed,
    world,
)


def reviews(hits, *, strata=None, sizes=None, videos=None, is_drawn=True, weights=None):
    hits = np.asarray(hits, dtype=np.float64)
    n = len(hits)
    return Reviews(
        strata=np.zeros(n, dtype=np.int64) if strata is None else np.asarray(strata),
        sizes=np.ones(n) if sizes is None else np.asarray(sizes, dtype=np.float64),
        hits=hits,
        weights=np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64),
        videos=np.arange(n) if videos is None else np.asarray(videos),
        is_drawn=is_drawn,
    )


def half_known(n, hit_share):
    """``n`` tasks; of the first half it is known whether they hit."""
    hits = np.full(n, np.nan)
    hits[: n // 2] = np.arange(n // 2) < hit_share * (n // 2)
    return hits


def test_strata_count_by_their_tasks_not_by_their_reviews():
    # 900 tasks of a stratum where half hits, 100 of one where all do; as many reviews of both.
    strata = np.repeat([0, 1], [900, 100])
    hits = np.full(1000, np.nan)
    hits[:50] = np.arange(50) % 2
    hits[900:950] = 1
    found = estimate(reviews(hits, strata=strata))
    assert found.accuracy == pytest.approx(0.9 * 0.5 + 0.1)
    assert (found.tasks, found.points, found.reviewed) == (1000, 1000, 100)


def test_a_task_counts_by_its_points():
    strata = np.repeat([0, 1], 100)
    hits = np.full(200, np.nan)
    hits[:50], hits[100:150] = 3, 0
    found = estimate(reviews(hits, strata=strata, sizes=np.repeat([3, 1], 100)))
    assert found.accuracy == pytest.approx(300 / 400)


def test_all_reviewed_is_no_estimate_any_more():
    found = estimate(reviews([1.0] * 30 + [0.0] * 10))
    assert (found.accuracy, found.low, found.high) == (0.75, 0.75, 0.75)


def test_too_few_reviews_are_unknown_and_say_what_is_needed():
    hits = np.full(500, np.nan)
    hits[:12] = 1
    found = estimate(reviews(hits))
    assert found.accuracy is found.low is found.high is None
    assert found.needed == MIN_REVIEWS - 12
    assert "12 of at least 30" in found.reason
    assert estimate(reviews([])).reason == "nothing was predicted yet"


def test_reviews_of_few_videos_are_unknown_unless_they_were_drawn():
    videos = np.arange(400) // 20
    hits = np.full(400, np.nan)
    hits[:100] = np.arange(100) % 3 > 0
    found = estimate(reviews(hits, videos=videos, is_drawn=False))
    assert found.accuracy is None
    assert found.needed == 5
    assert "5 videos" in found.reason
    assert estimate(reviews(hits, videos=videos)).accuracy is not None


def test_whole_videos_that_are_alike_give_a_wider_interval():
    rng = np.random.default_rng(0)
    videos = np.arange(1000) // 20
    hits = np.full(1000, np.nan)
    chosen = videos < 25
    hits[chosen] = (rng.random(50) < 0.6)[videos[chosen]]
    alike = estimate(reviews(hits, videos=videos, is_drawn=False))
    alone = estimate(reviews(hits, is_drawn=False))
    assert alike.half_width > 3 * alone.half_width


def test_where_all_hit_the_interval_is_not_empty():
    hits = half_known(200, 1.0)
    found = estimate(reviews(hits))
    assert found.accuracy == 1
    assert found.high == 1
    assert 0.97 < found.low < 0.99  # Wilson's of 100 of 100, of which half are known: 0.981


def test_strata_without_reviews_join_their_neighbours():
    strata = np.arange(100) // 10
    hits = np.full(100, np.nan)
    hits[:30] = 0
    hits[60:65] = 1
    found = estimate(reviews(hits, strata=strata))
    assert found.accuracy == pytest.approx(0.7)


def test_the_curve_rises_with_hits_and_stays_within_bounds():
    sizes = np.full(10, 100.0)
    seen = np.full(10, 10.0)
    rising = hit_curve(np.arange(10) * 1.0, seen, sizes)
    assert (np.diff(rising) > 0).all()
    assert abs(rising.mean() - 0.45) < 0.03
    sure = hit_curve(seen, seen, sizes)
    assert ((sure > 0.9) & (sure < 1)).all()


def test_equal_scores_stay_in_one_stratum():
    scores = np.asarray([0.5] * 90 + [0.7] * 10)
    edges = edges_of(scores, 10)
    assert set(strata_of(scores, edges).tolist()) == {0, 1}
    assert len(edges_of(np.full(5, 0.3), 10)) == 0


def simulated(accuracy, auroc, budget, runs):
    return coverage(
        [by_plan(world(1000, accuracy, auroc, np.random.default_rng([3, k])), budget, 100 * k)
         for k in range(runs)]
    )[0]  # fmt: skip


@pytest.mark.parametrize(("accuracy", "auroc", "budget"), [(0.65, 0.85, 90), (0.93, 0.8, 120)])
def test_intervals_cover_under_the_plan(accuracy, auroc, budget):
    # 95 % of 120: 108 or fewer would come up once in 70 honest seeds; the seed is fixed.
    assert simulated(accuracy, auroc, budget, 120) >= 0.91


@pytest.mark.soak
@pytest.mark.parametrize(("accuracy", "auroc", "budget"), [(0.65, 0.85, 90), (0.93, 0.8, 120)])
def test_intervals_cover_within_two_points_of_what_they_say(accuracy, auroc, budget):
    assert 0.93 <= simulated(accuracy, auroc, budget, 2000) <= 0.97


def test_intervals_cover_where_people_reviewed_whole_videos():
    # Of 50 videos 20 and 40 are reviewed: much and little of the project is left to estimate.
    for videos in (20, 40):
        outcomes = [
            by_video(world(1000, 0.7, 0.85, np.random.default_rng([5, k]), per_video=20, alike=0.6),
                     videos, k)
            for k in range(120)
        ]  # fmt: skip
        assert 0.91 <= coverage(outcomes)[0] <= 0.985


def test_half_of_every_video_leaves_every_video_to_be_estimated():
    made = world(1000, 0.7, 0.85, np.random.default_rng(1), per_video=20, alike=0.6)
    hits = np.asarray(list(made.hits.values()), dtype=np.float64)
    videos = np.arange(1000) // 20

    def half_width(known):
        found = estimate(reviews(np.where(known, hits, np.nan), videos=videos, is_drawn=False))
        return found.half_width

    halves, wholes = np.arange(1000) % 2 == 0, videos % 2 == 0
    assert half_width(wholes) < 0.8 * half_width(halves) * np.sqrt(2)
    assert half_width(videos < 45) < 0.5 * half_width(wholes)


def test_a_plan_needs_thirty_percent_fewer_reviews_than_uniform_sampling():
    # Uniform sampling: 1.96^2 x 0.65 x 0.35 / 0.02^2 = 2,185, of 20,000 tasks 1,970.
    [needed] = reviews_needed(0.85, accuracy=0.65, tasks=20_000, runs=1, seed=1, step=150)
    assert needed_uniformly(0.65, 20_000) == 1970
    assert needed.half_width <= 0.02
    assert needed.reviews <= 0.7 * 1970
