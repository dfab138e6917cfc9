"""A score of a project's own: the one in use moved to its corrections, or a new one.

Few corrections carry few numbers. So three models of growing freedom are compared by what they say
of held-out videos: the score in use with another slope and level, one with a strong and one with a
weak penalty on the weights of every signal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from videogem.calibration.choosing import FOLDS, Difference, compare, split
from videogem.confidence.fitting import fit_logistic, maximum_likelihood
from videogem.confidence.model import POINT_TERMS, Logistic
from videogem.confidence.quality import calibration_error
from videogem.structures import Signals

PENALTIES = (0.1, 0.01)
LEAST_OUTCOMES = 5  # of each kind
_EDGE = 1e-6

Fit = Callable[[Sequence[Signals], np.ndarray], Logistic]


@dataclass(frozen=True)
class Rescored:
    """A fitted score, and how it did on data it did not see, against the score in use."""

    model: Logistic
    brier: Difference  # of 1 - squared error, so that more is better
    error_before: float  # calibration error
    error_after: float
    chances: Float[np.ndarray, " M"]  # held out
    chances_before: Float[np.ndarray, " M"]


def rescore(
    signals: Sequence[Signals],
    hits: Bool[np.ndarray, " M"],
    in_use: tuple[Float[np.ndarray, " M"], Bool[np.ndarray, " M"]],
    clusters: Int[np.ndarray, " M"],
    base: Logistic | None,
    *,
    seed: int = 0,
) -> Rescored:
    """The best of the models for these outcomes; ``in_use`` are the scores and hits as they are."""
    before, hits_before = in_use
    fits = fits_of(base)
    chances = np.zeros(len(hits))
    for train, test in split(clusters, FOLDS, seed):
        inner = [signals[i] for i in train]
        if _one_sided(hits[train]):
            chances[test] = hits[train].mean()
            continue
        fit = _best(fits, inner, hits[train], clusters[train], seed + 1)
        model = fit(inner, hits[train])
        chances[test] = [model.chance(signals[i]) for i in test]
    model = _best(fits, signals, hits, clusters, seed + 1)(signals, hits)
    return Rescored(
        model,
        compare(1 - (before - hits_before) ** 2, 1 - (chances - hits) ** 2, clusters),
        calibration_error(before, hits_before),
        calibration_error(chances, hits),
        chances,
        before,
    )


def fits_of(base: Logistic | None) -> list[Fit]:
    """The models that are compared, the one of the fewest numbers first."""
    fits: list[Fit] = [] if base is None else [partial(moved, base)]
    return fits + [partial(_anew, penalty) for penalty in PENALTIES]


def _anew(penalty: float, signals: Sequence[Signals], hits: Bool[np.ndarray, " M"]) -> Logistic:
    return fit_logistic(POINT_TERMS, signals, hits, penalty=penalty)


def moved(base: Logistic, signals: Sequence[Signals], hits: Bool[np.ndarray, " M"]) -> Logistic:
    """The base with another slope and level (Platt, 1999); the slope stays above 0."""
    chances = np.clip([base.chance(each) for each in signals], _EDGE, 1 - _EDGE)
    totals = np.log(chances / (1 - chances))
    (slope,), level = maximum_likelihood(totals[:, None], hits, penalty=1e-3)
    slope = max(float(slope), 0.05)
    weights = tuple(slope * weight for weight in base.weights)
    return replace(base, weights=weights, intercept=slope * base.intercept + level)


def _best(
    fits: Sequence[Fit],
    signals: Sequence[Signals],
    hits: np.ndarray,
    clusters: np.ndarray,
    seed: int,
) -> Fit:
    """The fit with the least log loss on held-out videos."""
    _, clusters = np.unique(clusters, return_inverse=True)
    losses = np.zeros(len(fits))
    for train, test in split(clusters, FOLDS, seed):
        if _one_sided(hits[train]):
            continue
        for place, fit in enumerate(fits):
            model = fit([signals[i] for i in train], hits[train])
            chances = np.array([model.chance(signals[i]) for i in test])
            right = np.where(hits[test], chances, 1 - chances)
            losses[place] -= np.log(np.clip(right, _EDGE, 1)).sum()
    return fits[int(losses.argmin())]


def _one_sided(hits: np.ndarray) -> bool:
    return bool(hits.all() or not hits.any())
