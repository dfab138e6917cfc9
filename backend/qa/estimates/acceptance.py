"""From which score on predictions may be accepted without a look at each. Pure.

Learn-then-Test: for each threshold the hypothesis "of tasks with at least this score, too many are
wrong" is tested with an exact binomial p-value, from the strictest threshold that has enough
reviews down to the first that cannot be rejected. Then the chance that the chosen threshold breaks
its promise is at most 1 - confidence, whatever the scores are worth.

A binomial test needs tasks that were drawn with the same chance and do not hang together:
    * Drawn by a plan: the chances are known, and some of the reviewed tasks are left out at random
      until all have the same. How alike the tasks of a video are does not matter then.
    * Reviewed by themselves: one task of each video, drawn at random, and of small videos fewer
      than of large ones, so that it is tasks, not videos, that count.

Looking again with more reviews is another chance to be wrong: look k may err with a share of
1 / (k (k + 1)) of what is allowed in all.

Source: Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test (2021), section 3.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.qa.estimates.curve import Floats, Ints

PRECISION, CONFIDENCE = 0.95, 0.9
STEPS = 40  # thresholds that are tried: each accepts another so many-th of all tasks
START = 0.4  # of all reviews that count, at most, are those of the first threshold tested
SEED = 16  # of what is left out; fixed, as trying several would be a way to be lucky


@dataclass(frozen=True)
class Reviewed:
    """Predicted tasks, one entry each, in an order that does not change (by id)."""

    scores: Floats  # NaN where there is none: never accepted
    right: Floats  # 1 where all points of a task hit, 0 where not, NaN where no review counts
    chances: Floats  # of having been drawn, in any unit; ones where nobody drew
    videos: Ints  # which video a task is of
    is_drawn: bool


@dataclass(frozen=True)
class Threshold:
    """The least score to accept, or None with the reason."""

    least_score: float | None
    tested: int  # reviews that the decision rests on
    wrong: int  # of them
    tasks: int  # that have at least this score, reviewed or not
    needed: int  # further reviews of such tasks, all right, until any threshold can be given
    reason: str = ""


def spent_at(look: int) -> float:
    """Share of the allowed error that a look (from 1) may use: together never more than 1."""
    if look < 1:
        raise ValueError(f"looks are counted from 1, got {look}")
    return 1 / (look * (look + 1))


def accept_from(
    reviewed: Reviewed,
    *,
    precision: float = PRECISION,
    confidence: float = CONFIDENCE,
    look: int = 1,
    above: float = -math.inf,
) -> Threshold:
    """The least score from which on at least ``precision`` of tasks are right, so ``confidence``.

    Only scores greater than ``above`` come into question.

    Raises:
        ValueError: precision or confidence is not between 0 and 1.
    """
    for name, value in (("precision", precision), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}")
    risk, allowed = 1 - precision, (1 - confidence) * spent_at(look)
    after = (1 - confidence) * spent_at(look + 1)
    thresholds = _thresholds(reviewed.scores, above)
    if not len(thresholds):
        return Threshold(None, 0, 0, 0, fewest(risk, after), "no task has such a score")
    draws = _Draws(reviewed)
    found = [draws.count(least) for least in thresholds]
    counts = np.asarray([n for n, _ in found], dtype=np.int64)
    wrong = np.asarray([w for _, w in found], dtype=np.int64)
    chosen = lowest_rejected(counts, wrong, risk, allowed)
    if chosen is not None:
        least = float(thresholds[chosen])
        tasks = int((reviewed.scores >= least).sum())
        return Threshold(least, int(counts[chosen]), int(wrong[chosen]), tasks, 0)
    needed, nearest = min(
        (fewest(risk, after, int(w)) - int(n), k)
        for k, (n, w) in enumerate(zip(counts, wrong, strict=True))
    )
    least = float(thresholds[nearest])
    reason = (
        f"of {counts[nearest]} reviews that count of tasks with a score of at least {least:.3f}, "
        f"{wrong[nearest]} found a miss: not enough to say that {100 * precision:g} % are right"
    )
    return Threshold(
        None, int(counts[nearest]), int(wrong[nearest]),
        int((reviewed.scores >= least).sum()), max(1, needed), reason,
    )  # fmt: skip


def fewest(risk: float, level: float, wrong: int = 0) -> int:
    """Reviews, of which so many found a miss, from which on a binomial test at a level rejects."""
    low, high = wrong, max(8, 2 * wrong)
    while p_value(wrong, high, risk) > level:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if p_value(wrong, middle, risk) <= level else (middle, high)
    return high


def p_value(wrong: int, tested: int, risk: float) -> float:
    """Chance of at most so many misses if misses were as frequent as ``risk``: exact, binomial."""
    from scipy.special import bdtr

    return float(bdtr(wrong, tested, risk)) if wrong < tested else 1.0


def lowest_rejected(counts: Ints, wrong: Ints, risk: float, allowed: float) -> int | None:
    """Index of the last threshold, in their order, whose hypothesis is rejected at ``allowed``.

    It ends at the first that is not. Where to start hangs on counts alone, never on what was found:
    with many reviews, where a test can bear some misses, so that one early miss by bad luck does
    not end it.
    """
    found, borne = None, 0
    most = int(counts.max(initial=0))
    while fewest(risk, allowed, borne + 1) <= START * most:
        borne += 1
    start = fewest(risk, allowed, borne)
    if start > most:
        return None
    for index in range(int(np.argmax(counts >= start)), len(counts)):
        if p_value(int(wrong[index]), int(counts[index]), risk) > allowed:
            break
        found = index
    return found


def _thresholds(scores: Floats, above: float) -> Floats:
    """Scores to try, strictest first."""
    known = scores[~np.isnan(scores) & (scores > above)]
    if not len(known):
        return np.zeros(0)
    shares = 1 - np.arange(1, STEPS + 1) / STEPS
    return np.asarray(np.unique(np.quantile(known, shares, method="lower"))[::-1])


class _Draws:
    """Which reviews are tested at which threshold."""

    def __init__(self, reviewed: Reviewed) -> None:
        self._reviewed = reviewed
        rng = np.random.default_rng(SEED)
        self._luck = rng.random(len(reviewed.scores))
        self._video_luck = rng.random(int(reviewed.videos.max(initial=-1)) + 1)

    def count(self, least: float) -> tuple[int, int]:
        """How many reviews of tasks with at least this score are tested, and how many missed."""
        r = self._reviewed
        inside = r.scores >= least
        kept = self._drawn(inside) if r.is_drawn else self._one_a_video(inside)
        return int(kept.sum()), int((kept & (r.right == 0)).sum())

    def _drawn(self, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        known = np.asarray(inside & ~np.isnan(self._reviewed.right))
        if not known.any():
            return known
        chances = self._reviewed.chances
        return np.asarray(known & (self._luck * chances <= chances[known].min()))

    def _one_a_video(self, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        videos = self._reviewed.videos
        kept = np.zeros(len(inside), dtype=bool)
        known = np.flatnonzero(inside & ~np.isnan(self._reviewed.right))
        if not len(known):
            return kept
        order = known[np.argsort(self._luck[known], kind="stable")]
        of, first = np.unique(videos[order], return_index=True)
        sizes = np.bincount(videos[inside], minlength=len(self._video_luck))[of]
        kept[order[first[self._video_luck[of] * sizes.max() <= sizes]]] = True
        return kept
