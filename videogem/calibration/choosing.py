"""Which choice the corrections speak for, and whether that is a gain: nested cross-validation.

A choice is judged by two things, the points that hit and the overlap of the boxes. It is a gain if
one of them becomes better and the other no worse. Whole videos are held out, as frames of one are
alike. Each part is judged by the choice that the others alone make, so that the gain is measured on
data that had no say; its interval is of paired differences, clustered by video.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from videogem.calibration.candidates import Measurements
from videogem.metrics import difference_interval

FOLDS = 5
ENDS = 2  # hits and overlap: either may be the gain, so each has half the error (Bonferroni)
LEVEL = 1 - 0.05 / ENDS
MARGIN = 0.01  # of hits or overlap: whether something is worse by less than this is left open


@dataclass(frozen=True)
class Difference:
    """Means before and after, and the interval of the paired difference."""

    before: float
    after: float
    low: float
    high: float

    @property
    def is_gain(self) -> bool:
        return self.low > 0

    @property
    def is_loss(self) -> bool:
        return self.high < 0

    @property
    def is_no_worse(self) -> bool:
        """The mean is no lower, and that it truly is by `MARGIN` can be ruled out."""
        return self.after >= self.before and self.low >= -MARGIN


@dataclass(frozen=True)
class Chosen:
    """A choice, and what the choosing gave on data it did not see."""

    choice: int  # 0: what is in use
    overlap: Difference
    hits: Difference

    @property
    def is_gain(self) -> bool:
        """One is better beyond chance, and none worse."""
        ends = self.overlap, self.hits
        return any(each.low > 0 for each in ends) and all(each.is_no_worse for each in ends)


def choose(measured: Measurements, among: Sequence[int] | None = None) -> int:
    """The choice (of all, or ``among`` some) that surely gains most and makes neither worse; 0
    where there is none.

    What it surely gains are the lower ends of the intervals of overlap and hits, both shares of 1,
    added up: of choices that gain alike it is the one that changes least.
    """
    if len(set(measured.videos)) < 2:
        return 0
    means = [values.mean(axis=0) for values in (measured.overlaps, measured.hits)]
    no_lower = np.all([values >= values[0] for values in means], axis=0)
    higher = np.any([values > values[0] for values in means], axis=0)
    best, most = 0, -np.inf
    wanted = np.flatnonzero(no_lower & higher)
    for choice in (wanted if among is None else np.intersect1d(wanted, among)).tolist():
        ends = _gains(measured, choice)
        sure = sum(each.low for each in ends)
        if sure > most and all(each.is_no_worse for each in ends):
            best, most = choice, sure
    return best


def _gains(measured: Measurements, choice: int | Int[np.ndarray, " M"]) -> tuple[Difference, ...]:
    """Of overlap and hits, under one choice or that of each row, against what is in use."""
    rows = np.arange(len(measured.videos))
    return tuple(
        compare(values[:, 0], values[rows, choice], measured.clusters, LEVEL)
        for values in (measured.overlaps, measured.hits)
    )


def nested(
    measured: Measurements,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    among: Sequence[int] | None = None,
) -> Chosen:
    """The choice of all data, with the gain that choosing has on held-out videos."""
    own = np.zeros(len(measured.videos), int)
    for train, test in split(measured.clusters, folds, seed):
        own[test] = choose(measured.take(train), among)
    return Chosen(choose(measured, among), *_gains(measured, own))


def split(
    clusters: Int[np.ndarray, " M"], folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to judge by, whole clusters together, about as many in each."""
    number = int(clusters.max()) + 1
    order = np.random.default_rng(seed).permutation(number)
    sizes = np.bincount(clusters, minlength=number)
    fold_of = np.empty(number, int)
    loads = np.zeros(min(folds, number))
    for cluster in order:
        fold_of[cluster] = int(loads.argmin())
        loads[fold_of[cluster]] += sizes[cluster]
    folded = fold_of[clusters]
    for fold in range(len(loads)):
        yield np.flatnonzero(folded != fold), np.flatnonzero(folded == fold)


def compare(
    before: np.ndarray,
    after: np.ndarray,
    clusters: Int[np.ndarray, " M"],
    confidence: float = 0.95,
) -> Difference:
    """Paired, clustered."""
    before, after = before.astype(float), after.astype(float)
    low, high = difference(after - before, clusters, confidence)
    return Difference(float(before.mean()), float(after.mean()), low, high)


def difference(
    values: Float[np.ndarray, " M"], clusters: Int[np.ndarray, " M"], confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a mean of differences."""
    sums = np.bincount(clusters, weights=values)
    sizes = np.bincount(clusters)
    kept = sizes > 0
    if not values.any():
        return 0.0, 0.0
    return difference_interval(sums[kept].tolist(), sizes[kept].tolist(), confidence)
