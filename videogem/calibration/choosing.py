"""Which choice the corrections speak for, and whether that is a gain: nested cross-validation.

Whole videos are held out, as frames of one are alike. Each part is judged by the choice that the
others alone make, so that the gain is measured on data that had no say; its interval is of paired
differences, clustered by video.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from videogem.calibration.candidates import Measurements
from videogem.metrics import difference_interval

FOLDS = 5


@dataclass(frozen=True)
class Difference:
    """Means before and after, and the 95 % interval of the paired difference."""

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


@dataclass(frozen=True)
class Chosen:
    """A choice, and what the choosing gave on data it did not see."""

    choice: int  # 0: what is in use
    overlap: Difference
    hits: Difference


def choose(measured: Measurements) -> int:
    """The choice with the highest mean overlap whose points hit no less often; 0 without a gain."""
    if len(set(measured.videos)) < 2:
        return 0
    overlap = measured.overlaps.mean(axis=0)
    allowed = measured.hits.mean(axis=0) >= measured.hits[:, 0].mean()
    best = int(np.where(allowed, overlap, -1.0).argmax())
    gain = measured.overlaps[:, best] - measured.overlaps[:, 0]
    return best if difference(gain, measured.clusters)[0] > 0 else 0


def nested(measured: Measurements, *, folds: int = FOLDS, seed: int = 0) -> Chosen:
    """The choice of all data, with the gain that choosing has on held-out videos."""
    own = np.zeros(len(measured.videos), int)
    for train, test in split(measured.clusters, folds, seed):
        own[test] = choose(measured.take(train))
    rows = np.arange(len(own))
    return Chosen(
        choose(measured),
        compare(measured.overlaps[:, 0], measured.overlaps[rows, own], measured.clusters),
        compare(measured.hits[:, 0], measured.hits[rows, own], measured.clusters),
    )


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


def compare(before: np.ndarray, after: np.ndarray, clusters: Int[np.ndarray, " M"]) -> Difference:
    """Paired, clustered."""
    before, after = before.astype(float), after.astype(float)
    low, high = difference(after - before, clusters)
    return Difference(float(before.mean()), float(after.mean()), low, high)


def difference(
    values: Float[np.ndarray, " M"], clusters: Int[np.ndarray, " M"]
) -> tuple[float, float]:
    """95 % interval of a mean of differences."""
    sums = np.bincount(clusters, weights=values)
    sizes = np.bincount(clusters)
    kept = sizes > 0
    if not values.any():
        return 0.0, 0.0
    return difference_interval(sums[kept].tolist(), sizes[kept].tolist())
