"""How good a score is: whether it ranks, and whether it keeps its word."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

BINS = 10


class Bin(NamedTuple):
    """Groundings of about the same score."""

    number: int
    score: float  # their mean
    share: float  # of them that are right


def auroc(scores: Float[np.ndarray, " M"], right: Bool[np.ndarray, " M"]) -> float:
    """Chance that a right one scores above a wrong one, ties counting half; NaN without both.

    >>> auroc(np.array([0.9, 0.2, 0.5]), np.array([True, False, False]))
    1.0
    """
    hits = int(right.sum())
    misses = len(right) - hits
    if not hits or not misses:
        return float("nan")
    return float((rankdata(scores)[right].sum() - hits * (hits + 1) / 2) / (hits * misses))


def reliability(
    scores: Float[np.ndarray, " M"], right: Bool[np.ndarray, " M"], bins: int = BINS
) -> list[Bin]:
    """Bins of equal number, lowest scores first; equal scores may fall on both sides of an edge."""
    order = np.argsort(scores, kind="stable")
    return [
        Bin(len(part), float(scores[part].mean()), float(right[part].mean()))
        for part in np.array_split(order, bins)
        if len(part)
    ]


def calibration_error(
    scores: Float[np.ndarray, " M"], right: Bool[np.ndarray, " M"], bins: int = BINS
) -> float:
    """Mean distance between score and share of right ones over `reliability`'s bins (ECE).

    A perfect score does not come out as 0: with M groundings chance alone gives some
    0.4 sqrt(bins / M).
    """
    found = reliability(scores, right, bins)
    return sum(each.number * abs(each.score - each.share) for each in found) / len(scores)


def risk_coverage(
    scores: Float[np.ndarray, " M"], right: Bool[np.ndarray, " M"]
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """Share taken (the surest first), and share of wrong ones among these."""
    order = np.argsort(-scores, kind="stable")
    count = np.arange(1, len(scores) + 1)
    return count / len(scores), np.cumsum(~right[order]) / count


def grouped_interval(
    measure: Callable[[np.ndarray], float],
    groups: Sequence[str],
    *,
    runs: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap of a measure of rows, whole groups drawn at a time."""
    rng = np.random.default_rng(seed)
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    found = [
        measure(np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))]))
        for _ in range(runs)
    ]
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
