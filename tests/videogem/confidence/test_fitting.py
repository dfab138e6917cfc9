"""The fit against an independent implementation, and what it does with hard data."""

import numpy as np
import pytest

from videogem.confidence.fitting import fit_logistic, fit_scoring, maximum_likelihood
from videogem.confidence.model import POINT_TERMS
from videogem.errors import InputError
from videogem.structures import Signals


def world(count, seed=0):
    """Signals of which `action` and `height` say how likely a hit is, and that chance."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 9)) * 0.1 + 0.3
    chance = 1 / (1 + np.exp(-(12 * (values[:, 6] - 0.3) + 8 * (values[:, 1] - 0.3) - 0.5)))
    return [Signals(*row) for row in values.tolist()], rng.random(count) < chance, chance


def test_weights_are_those_of_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    columns = rng.normal(size=(400, 3))
    outcomes = rng.random(400) < 1 / (1 + np.exp(-(columns @ [1.0, -2.0, 0.5] + 0.3)))
    shares = rng.integers(1, 4, 400)
    weights, intercept = maximum_likelihood(columns, outcomes, shares.astype(float), penalty=0.0)
    repeated = np.repeat(np.arange(400), shares)
    expected = sm.Logit(outcomes[repeated], sm.add_constant(columns[repeated])).fit(disp=0).params
    np.testing.assert_allclose([intercept, *weights], expected, atol=1e-3)


def test_the_chance_comes_out():
    signals, hits, _ = world(4000)
    model = fit_logistic(POINT_TERMS, signals, hits)
    fresh, _, chance = world(2000, seed=1)
    found = np.array([model.chance(each) for each in fresh])
    assert np.abs(found - chance).mean() < 0.03


def test_the_order_of_the_data_does_not_matter():
    signals, hits, _ = world(300)
    turned = [signals[i] for i in reversed(range(300))]
    first = fit_logistic(POINT_TERMS, signals, hits)
    second = fit_logistic(POINT_TERMS, turned, hits[::-1])
    np.testing.assert_allclose(first.weights, second.weights, atol=1e-3)


def test_data_that_can_be_told_apart_wholly_stay_finite():
    signals, _, _ = world(60)
    hits = np.array([each.action > 0.3 for each in signals])
    model = fit_logistic(POINT_TERMS, signals, hits)
    assert np.isfinite(model.weights).all()


def test_a_signal_that_never_moves_takes_no_part():
    signals = [Signals(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, x, 0.5, 0.5) for x in np.linspace(0, 1, 50)]
    hits = np.array([each.action > 0.5 for each in signals])
    assert fit_logistic(POINT_TERMS, signals, hits).chance(signals[-1]) > 0.9


@pytest.mark.parametrize("outcome", [True, False])
def test_one_outcome_alone_cannot_be_fitted(outcome):
    signals, hits, _ = world(20)
    with pytest.raises(InputError, match="all 20 outcomes are the same"):
        fit_scoring("mine", signals, np.full(20, outcome), hits)
