"""How exactly annotators draw: the scale of their noise, from places that several of them drew.

What somebody draws is the true place plus noise of a scale of their own; a truth is not needed.
Scales are by restricted maximum likelihood: nobody is taken for the truth, and who is exact counts
more. Intervals are by the sandwich over groups of places, so that places of one video may be alike
and noise need not be normal. Pure.

Of two who drew only with each other nothing can be said of each: their differences do not tell
whose noise it is. A third, or a known truth, tells.

Source: Searle, Casella and McCulloch, Variance Components (1992), 6.6, Fisher scoring; Liang and
Zeger, Biometrika 73 (1986), for the sandwich.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEPS = 200
TOLERANCE = 1e-8  # of a step, in logarithms of variances
LONGEST = 1.0  # step
LEAST = 1e-4  # no scale is smaller, in units of the place: pixels are not finer
WIDEST = 1.0  # half of an interval, in logarithms of variances; beyond, in variances
KNOWABLE = 1e-6


@dataclass(frozen=True)
class Scales:
    """Noise by annotator (num_annotators), in the unit of the places; NaN where unknowable."""

    scale: Floats
    low: Floats
    high: Floats


def scales(
    places: Floats, truth: Floats | None = None, groups: npt.NDArray[np.int64] | None = None,
    *, confidence: float = 0.95,
) -> Scales:  # fmt: skip
    """The scale of everybody's noise with its interval.

    ``places`` (num_places, num_annotators, num_coordinates) is NaN where somebody drew none, and
    ``truth`` (num_places, num_coordinates) where it is not known; ``groups`` (num_places) says
    which places are alike.
    """
    from scipy.special import stdtrit

    people = places.shape[1]
    if truth is not None:
        places = np.concatenate([places, truth[:, None]], axis=1)
    model = _Model(places, people)
    if not model.usable:
        nothing = np.full(people, np.nan)
        return Scales(nothing, nothing, nothing)
    logs = np.full(people, model.first())
    for _ in range(STEPS):
        scores, information = model.look(logs)
        step = np.clip(np.linalg.pinv(information) @ scores.sum(axis=0), -LONGEST, LONGEST)
        logs = np.maximum(logs + step, 2 * np.log(LEAST))
        if np.abs(step).max() < TOLERANCE:
            break
    scores, information = model.look(logs)
    variances = np.exp(logs)
    # Of variances, not of their logarithms, where somebody's are as good as none.
    usual = float(np.median(variances))
    scores, information = scores / variances * usual, information / np.outer(variances, variances)
    inverse = np.linalg.pinv(information * usual**2)
    known = np.abs(np.diag(inverse @ information * usual**2) - 1) < KNOWABLE
    of = np.arange(len(scores)) if groups is None else np.asarray(groups)[model.shared]
    _, group = np.unique(of, return_inverse=True)
    count = int(group.max()) + 1
    sums = np.stack([np.bincount(group, column, minlength=count) for column in scores.T], axis=1)
    meat = sums.T @ sums * count / max(1, count - 1)
    error = usual * np.sqrt(np.maximum(np.diag(inverse @ meat @ inverse), 0))
    drew = np.stack([np.bincount(group, d, minlength=count) > 0 for d in model.drew.T])
    quantile = stdtrit(np.maximum(drew.sum(axis=1) - 1, 1), (1 + confidence) / 2)
    low, high = _ends(variances, quantile * error)
    scale, low, high = (np.where(known, each, np.nan) for each in (np.sqrt(variances), low, high))
    return Scales(scale, low, high)


def _ends(variances: Floats, half: Floats) -> tuple[Floats, Floats]:
    """Ends of the scales' intervals: symmetric in the logarithm, and in the variance itself where
    that is so uncertain that it may be next to nothing.
    """
    ratio = np.minimum(half / variances, WIDEST)
    is_sure = ratio < WIDEST
    low = np.where(is_sure, variances * np.exp(-ratio), np.maximum(variances - half, 0))
    high = np.where(is_sure, variances * np.exp(ratio), variances + half)
    return np.sqrt(low), np.sqrt(high)


class _Model:
    """Places that two or more drew; others say nothing. A last annotator beyond ``people`` is the
    truth, whose noise is known to be least.
    """

    def __init__(self, places: Floats, people: int) -> None:
        drawn = ~np.isnan(places[..., 0])
        self.shared = drawn.sum(axis=1) >= 2
        self._drawn, self._people = drawn[self.shared], people
        self._values = np.where(self._drawn[..., None], places[self.shared], 0.0)
        self._coordinates = places.shape[2]
        self.drew = self._drawn[:, :people].astype(np.float64)
        self.usable = bool(self._drawn.any())

    def first(self) -> float:
        """Logarithm of the mean variance within places: where to start."""
        counts = self._drawn.sum(axis=1)
        mean = self._values.sum(axis=1) / counts[:, None]
        rest = np.where(self._drawn[..., None], self._values - mean[:, None], 0.0)
        freedom = self._coordinates * float((counts - 1).sum())
        return float(np.log(max(LEAST**2, float((rest**2).sum()) / freedom)))

    def look(self, logs: Floats) -> tuple[Floats, Floats]:
        """Scores (num_shared, people) and expected information of the variances' logarithms."""
        everybody = np.full(self._drawn.shape[1], LEAST**2)
        everybody[: self._people] = np.exp(logs)
        weights = self._drawn / everybody
        total = weights.sum(axis=1)
        mean = (weights[..., None] * self._values).sum(axis=1) / total[:, None]
        squares = ((self._values - mean[:, None]) ** 2).sum(axis=2) * weights**2
        own = weights - weights**2 / total[:, None]  # diagonal of REML's projection
        half = everybody / 2
        scores = half * (squares - self._coordinates * own)
        # Squares of the projection's entries, summed over places: outside the diagonal they are
        # (w_a w_b / total)^2.
        shares = weights**2 / total[:, None]
        projected = shares.T @ shares
        np.fill_diagonal(projected, (own**2).sum(axis=0))
        information = self._coordinates / 2 * projected * np.outer(everybody, everybody)
        people = self._people
        return scores[:, :people], information[:people, :people]
