"""How exactly people draw: scales that are found again, with intervals that hold."""

import numpy as np
import pytest
from scipy import optimize

from backend.qa.estimates.place_noise import scales

NOISE = np.array([0.03, 0.06, 0.1, 0.02])


def drawn(places, seed, noise=NOISE, each=3):
    """Places (num_places, num_annotators, 4) round unknown true ones, and these."""
    rng = np.random.default_rng(seed)
    true = rng.random((places, 1, 4))
    found = true + rng.normal(size=(places, len(noise), 4)) * noise[None, :, None]
    for row in found:
        row[rng.permutation(len(noise))[each:]] = np.nan
    return found, true[:, 0]


def test_scales_are_the_likeliest_by_a_general_optimiser():
    places, _ = drawn(25, 3)

    def loss(logs):
        total = 0.0
        for row in places:
            known = ~np.isnan(row[:, 0])
            variance = np.exp(logs[known])
            weight = 1 / variance
            mean = (weight[:, None] * row[known]).sum(axis=0) / weight.sum()
            total += 4 * (np.log(variance).sum() + np.log(weight.sum())) / 2
            total += (weight[:, None] * (row[known] - mean) ** 2).sum() / 2
        return total

    best = optimize.minimize(loss, np.full(4, -6.0), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(scales(places).scale, np.exp(best.x / 2), rtol=1e-3)


def test_intervals_hold_what_they_say():
    inside, found = [], []
    for seed in range(150):
        one = scales(drawn(60, seed)[0])
        found.append(one.scale)
        inside.append((one.low <= NOISE) & (one.high >= NOISE))
    np.testing.assert_allclose(np.mean(found, axis=0), NOISE, rtol=0.1)
    assert np.mean(inside) >= 0.91


def test_places_of_one_video_that_are_alike_say_less():
    places, _ = drawn(20, 1)
    repeated = np.repeat(places, 10, axis=0)
    alone = scales(repeated)
    alike = scales(repeated, groups=np.repeat(np.arange(20), 10))
    np.testing.assert_allclose(alone.scale, alike.scale)
    assert (alike.high - alike.scale).mean() > 2 * (alone.high - alone.scale).mean()


def test_of_two_alone_nothing_can_be_said_until_a_third_or_a_truth_tells():
    places, true = drawn(80, 2, NOISE[:2], each=2)
    assert np.isnan(scales(places).scale).all()
    truth = np.where(np.arange(80)[:, None] < 40, true, np.nan)
    np.testing.assert_allclose(scales(places, truth).scale, NOISE[:2], rtol=0.25)
    # A chain of pairs tells nothing either; a ring of three does.
    chain = np.full((90, 3, 4), np.nan)
    full, _ = drawn(90, 5, NOISE[:3], each=3)
    chain[:45, :2], chain[45:, 1:] = full[:45, :2], full[45:, 1:]
    assert np.isnan(scales(chain).scale).all()
    chain[30:60] = np.nan
    chain[30:60, ::2] = full[30:60, ::2]
    np.testing.assert_allclose(scales(chain).scale, NOISE[:3], rtol=0.4)


def test_who_draws_exactly_gets_an_interval_that_says_so():
    places, _ = drawn(60, 4, np.array([0.0, 0.05, 0.1]))
    found = scales(places)
    assert found.scale[0] < 0.03
    assert found.high[0] < 0.05
    assert found.low[0] < 0.01
    assert (found.low[1:] > 0.03).all()


@pytest.mark.parametrize("places", [np.zeros((0, 2, 4)), np.full((5, 2, 4), np.nan)])
def test_nothing_shared_is_unknown(places):
    assert np.isnan(scales(places).scale).all()
