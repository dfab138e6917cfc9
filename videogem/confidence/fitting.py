"""Fits the models of `model.py` to groundings that are known right or wrong."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize

from videogem.confidence.model import (
    FARTHEST,
    POINT_TERMS,
    PRESENCE_TERMS,
    Logistic,
    Scoring,
    Term,
    table,
)
from videogem.errors import InputError
from videogem.structures import Signals

_RIDGE = 1e-12  # keeps the curvature invertible where a column is constant
PENALTY = 1e-4  # of squared weights, beside the mean log loss: keeps separable data finite


def fit_scoring(
    name: str,
    signals: Sequence[Signals],
    hits: Bool[np.ndarray, " M"],
    present: Bool[np.ndarray, " M"],
    sample_weights: Float[np.ndarray, " M"] | None = None,
    penalty: float = PENALTY,
) -> Scoring:
    """Both models; ``hits`` are points in the true box, ``present`` frames that show the action.

    Raises:
        InputError: one of them has only one outcome, so there is nothing to tell apart.
    """
    point = fit_logistic(POINT_TERMS, signals, hits, sample_weights, penalty)
    presence = fit_logistic(PRESENCE_TERMS, signals, present, sample_weights, penalty)
    return Scoring(name, point, presence)


def fit_logistic(
    terms: tuple[Term, ...],
    signals: Sequence[Signals],
    outcomes: Bool[np.ndarray, " M"],
    sample_weights: Float[np.ndarray, " M"] | None = None,
    penalty: float = PENALTY,
) -> Logistic:
    """Penalised maximum likelihood (convex, so there is one answer).

    Raises:
        InputError: all outcomes are the same.
    """
    if outcomes.all() or not outcomes.any():
        raise InputError(
            f"A score tells right from wrong, and all {len(outcomes)} outcomes are the same."
        )
    names = sorted({name for term in terms for name in term})
    values = table(signals, names)
    means, deviations = values.mean(axis=0), values.std(axis=0)
    deviations = np.where(deviations > 0, deviations, 1.0)
    standard = np.clip((values - means) / deviations, -FARTHEST, FARTHEST)
    columns = [np.prod([standard[:, names.index(n)] for n in term], axis=0) for term in terms]
    weights, intercept = maximum_likelihood(
        np.stack(columns, axis=-1), outcomes, sample_weights, penalty
    )
    return Logistic(
        terms,
        dict(zip(names, means.tolist(), strict=True)),
        dict(zip(names, deviations.tolist(), strict=True)),
        tuple(weights.tolist()),
        intercept,
    )


def maximum_likelihood(
    columns: Float[np.ndarray, "M n"],
    outcomes: Bool[np.ndarray, " M"],
    sample_weights: Float[np.ndarray, " M"] | None = None,
    penalty: float = PENALTY,
) -> tuple[Float[np.ndarray, " n"], float]:
    """Weights and intercept; the intercept is not penalised."""
    count = len(outcomes)
    shares = np.full(count, 1 / count) if sample_weights is None else sample_weights
    shares = shares / shares.sum()
    signs = np.where(outcomes, 1.0, -1.0)
    design = np.column_stack([columns, np.ones(count)])
    penalised = np.append(np.ones(columns.shape[1]), 0.0) * penalty

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (design @ weights)
        value = shares @ np.logaddexp(0, -margins) + penalised @ weights**2 / 2
        wrong = np.exp(-np.logaddexp(0, margins))
        return value, penalised * weights - design.T @ (shares * signs * wrong)

    def curvature(weights: np.ndarray) -> np.ndarray:
        chances = np.exp(-np.logaddexp(0, -(design @ weights)))
        spread = shares * chances * (1 - chances)
        return design.T @ (design * spread[:, None]) + np.diag(penalised + _RIDGE)

    start = np.zeros(design.shape[1])
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact")
    return found.x[:-1], float(found.x[-1])
