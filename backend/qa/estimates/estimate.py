"""Accuracy of everything predicted, from the reviews of a part, stratified by score. Pure.

    accuracy = sum over strata of (points of the stratum / all points) x (hits / points reviewed)

The reviews of a stratum stand for it. Where they were drawn at random (`plan`), that is so by
construction and the interval is of these very tasks: tasks of one video may be as alike as they
like. Where people reviewed what they came to, it is assumed that within a stratum this had nothing
to do with whether the model was right, and the interval is over videos.

Source: Cochran, Sampling Techniques (1977), chapters 5 and 5A (stratified, post-stratified);
Särndal, Swensson and Wretman, Model Assisted Survey Sampling (1992), 5.6, for the weights.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.qa.estimates.curve import Floats, Ints, hit_curve
from videogem.metrics import MIN_CLUSTERS, wilson_interval

MIN_REVIEWS = 30  # tasks; below, intervals were found to cover too seldom
PSEUDO = 2.0  # reviews' worth of the smooth curve, in each stratum's variance
RARE = 10  # hits or misses; below, the wider of two intervals is taken
TARGET = 0.02  # half an interval that people ask for


@dataclass(frozen=True)
class Reviews:
    """Predicted tasks: one entry each. ``hits`` is NaN where no review counts."""

    strata: Ints  # by rising score
    sizes: Floats  # predicted points of a task
    hits: Floats  # how many of them hit
    weights: Floats  # 1 / the chance of being drawn, in any unit; ones where nobody drew
    videos: Ints  # which video a task is of
    is_drawn: bool  # whether the reviewed ones were drawn at random


@dataclass(frozen=True)
class Estimate:
    """Accuracy of all points with its interval; all three None where it is unknown (``reason``)."""

    accuracy: float | None
    low: float | None
    high: float | None
    tasks: int
    points: int
    reviewed: int  # tasks
    needed: int  # further reviewed tasks (or of further videos) until anything can be said
    for_target_uniform: int | None = None  # reviews for +- `TARGET`, drawn uniformly
    for_target_planned: int | None = None  # and drawn by plan
    reason: str = ""

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def estimate(reviews: Reviews, confidence: float = 0.95) -> Estimate:
    """The accuracy of all these points; unknown with its reason where reviews are too few.

    Variances are of each stratum's own reviews, kept from being zero by `PSEUDO` reviews of
    `hit_curve`. The interval is symmetric on the scale of log-odds, with Student's quantile.

    Source: Korn and Graubard, Survey Methodology 24 (1998), for the scale; Satterthwaite,
    Biometrics 2 (1946), for the degrees of freedom.
    """
    known = ~np.isnan(reviews.hits)
    tasks, points = len(known), round(float(reviews.sizes.sum()))
    reviewed = int(known.sum())
    needed, reason = _lacking(reviews, known)
    if needed:
        return Estimate(None, None, None, tasks, points, reviewed, needed, reason=reason)
    strata = _merged(reviews.strata, known)
    parts = _Strata(reviews, known, strata)
    accuracy = float((parts.share * parts.accuracy).sum())
    variance, freedom = parts.drawn_variance() if reviews.is_drawn else parts.clustered_variance()
    hits = float((reviews.hits[known]).sum())
    misses = float(reviews.sizes[known].sum()) - hits
    low, high = _interval(accuracy, variance, freedom, min(hits, misses), known, confidence)
    uniform, planned = parts.needed_for(TARGET, confidence)
    return Estimate(accuracy, low, high, tasks, points, reviewed, 0, uniform, planned)


def _lacking(reviews: Reviews, known: npt.NDArray[np.bool_]) -> tuple[int, str]:
    """How many more reviewed tasks are needed at least, and why."""
    if not len(known):
        return MIN_REVIEWS, "nothing was predicted yet"
    count = int(known.sum())
    enough = min(MIN_REVIEWS, len(known))
    if count < enough:
        return enough - count, f"{count} of at least {enough} reviewed tasks that count"
    videos = len(np.unique(reviews.videos[known]))
    all_videos = len(np.unique(reviews.videos))
    if not reviews.is_drawn and videos < min(MIN_CLUSTERS, all_videos):
        lacking = min(MIN_CLUSTERS, all_videos) - videos
        return lacking, (
            f"the reviewed tasks are of {videos} videos only; tasks of {lacking} more are needed, "
            "or tasks drawn by a plan"
        )
    return 0, ""


def _merged(strata: Ints, known: npt.NDArray[np.bool_]) -> Ints:
    """Strata with at least two reviews each: smaller ones join the one above (the last: below)."""
    counts = np.bincount(strata[known], minlength=int(strata.max()) + 1)
    place, joined, held = 0, np.zeros(len(counts), dtype=np.int64), 0
    for index, count in enumerate(counts):
        joined[index] = place
        held += int(count)
        if held >= 2:
            place, held = place + 1, 0
    if held or (place and joined[-1] == place):
        joined[joined == place] = max(0, place - 1)
    return joined[strata]


class _Strata:
    """Sums by stratum."""

    def __init__(self, reviews: Reviews, known: npt.NDArray[np.bool_], strata: Ints) -> None:
        def by_stratum(values: Floats) -> Floats:
            sums = np.bincount(strata, values, minlength=int(strata.max()) + 1)
            return sums.astype(np.float64)

        self._reviews, self._known, self._of = reviews, known, strata
        sizes, hits = reviews.sizes, np.where(known, reviews.hits, 0.0)
        self._weights = np.where(known, reviews.weights, 0.0)
        points = by_stratum(sizes)
        self.share = points / points.sum()
        self._weighted_points = by_stratum(self._weights * sizes)
        self.accuracy = by_stratum(self._weights * hits) / self._weighted_points
        self._tasks = by_stratum(np.ones(len(sizes)))
        self._reviewed = by_stratum(known.astype(float))
        self._size = by_stratum(known * sizes) / self._reviewed  # points of a task
        self._rest = np.where(known, hits - self.accuracy[strata] * sizes, 0.0)
        # Of the variance: what the reviews of a stratum show, and what the curve adds.
        own = self.accuracy * (1 - self.accuracy)
        self._curve = hit_curve(self.accuracy * self._reviewed, self._reviewed, points)
        smooth = (self.accuracy * self._reviewed + PSEUDO * self._curve) / (self._reviewed + PSEUDO)
        self._added = np.maximum(0.0, smooth * (1 - smooth) - own)
        spread = by_stratum(self._weights * self._rest**2) / by_stratum(self._weights)
        self._spread = spread / self._size**2 + self._added

    def drawn_variance(self) -> tuple[float, float]:
        """Variance and degrees of freedom where tasks were drawn at random in each stratum."""
        left = 1 - self._reviewed / self._tasks
        parts = self.share**2 * left * self._spread / self._reviewed
        return float(parts.sum()), _freedom(parts, self._reviewed - 1)

    def clustered_variance(self) -> tuple[float, float]:
        """The same over videos: tasks of one video are alike, and were reviewed together.

        Of videos that are reviewed wholly nothing is left to estimate.
        """
        of = self._of
        each = self.share[of] * self._weights * self._rest / self._weighted_points[of]
        _, video = np.unique(self._reviews.videos[self._known], return_inverse=True)
        squares = np.bincount(video, each[self._known]) ** 2
        count = len(squares)
        factor = count / (count - 1) if count > 1 else 1.0
        added = float((self.share**2 * self._added / self._reviewed).sum())
        total = float(squares.sum())
        freedom = 2 * total**2 / float((squares**2).sum()) if total > 0 else count - 1
        left = 1 - self._share_of_whole_videos()
        return left * (factor * total + added), min(count - 1.0, max(2.0, freedom))

    def _share_of_whole_videos(self) -> float:
        """Share of the videos all tasks of which are reviewed; of the points where that is less."""
        _, video = np.unique(self._reviews.videos, return_inverse=True)
        points = np.bincount(video, self._reviews.sizes)
        whole = np.bincount(video, ~self._known) == 0
        return min(float(whole.mean()), float(points[whole].sum() / points.sum()))

    def needed_for(self, half_width: float, confidence: float) -> tuple[int, int]:
        """Reviews for an interval of +- ``half_width``: uniformly drawn, and by plan (Neyman)."""
        from scipy.special import ndtri

        quantile = float(ndtri((1 + confidence) / 2))
        chance = (self.share * self._curve).sum()
        uniform = chance * (1 - chance)
        planned = float((self.share * np.sqrt(self._curve * (1 - self._curve))).sum()) ** 2
        tasks = float(self._tasks.sum())
        infinite = [quantile**2 * variance / half_width**2 for variance in (uniform, planned)]
        first, second = (math.ceil(n / (1 + n / tasks)) for n in infinite)
        return first, second


def _freedom(parts: Floats, own: Floats) -> float:
    below = float((parts**2 / np.maximum(own, 1)).sum())
    return max(2.0, float(parts.sum()) ** 2 / below) if below > 0 else 2.0


def _interval(
    accuracy: float,
    variance: float,
    freedom: float,
    rare: float,
    known: npt.NDArray[np.bool_],
    confidence: float,
) -> tuple[float, float]:
    from scipy.special import stdtrit

    if known.all():  # nothing is left to estimate
        return accuracy, accuracy
    quantile = float(stdtrit(freedom, (1 + confidence) / 2))
    reviewed = float(known.sum())
    edge = 0.5 / reviewed
    inner = min(max(accuracy, edge), 1 - edge)
    half = quantile * math.sqrt(variance) / (inner * (1 - inner))
    odds = math.log(inner / (1 - inner))
    low, high = (1 / (1 + math.exp(min(700.0, -(odds + sign * half)))) for sign in (-1, 1))
    if rare < RARE:
        # With few of a kind the logarithm's curvature shows, and what strata gain cannot be known:
        # Wilson's interval for the number of uniform reviews that would tell as much, at most all.
        uniform = reviewed / (1 - float(known.mean()))
        worth = min(inner * (1 - inner) / variance, uniform)
        other = wilson_interval(accuracy * worth, worth, confidence)
        low, high = min(low, other[0]), max(high, other[1])
    return min(low, accuracy), max(high, accuracy)
