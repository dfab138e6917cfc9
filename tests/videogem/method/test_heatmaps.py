"""Normalisation, peaks and merges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from videogem.method.heatmaps import merge_maps, merge_points, min_max_normalize, peak
from videogem.method.similarity import upsample

MAPS = arrays(np.float32, (3, 5, 7), elements=st.floats(-1, 1, width=32, allow_subnormal=False))


@given(MAPS)
def test_normalised_maps_lie_in_0_1_and_keep_their_peak(maps):
    normalised = min_max_normalize(maps)
    assert np.isfinite(normalised).all()
    assert normalised.min() >= 0 and normalised.max() <= 1
    for before, after in zip(maps, normalised, strict=True):
        if before.max() > before.min():
            assert after.max() == 1 and after.min() == 0
            assert after.flat[before.argmax()] == 1


def test_a_constant_map_becomes_zero():
    assert not min_max_normalize(np.full((1, 3, 3), 0.7, dtype=np.float32)).any()


@given(MAPS)
def test_merged_points_lie_in_the_frame(maps):
    maps = min_max_normalize(maps)
    for merge in ("positions", "maps", "product"):
        x, y = merge_points(maps, (0.2, 0.2, 0.6), merge)
        assert 0 < x < 1 and 0 < y < 1


def one_hot(row: int, column: int) -> np.ndarray:
    heatmap = np.zeros((10, 10), dtype=np.float32)
    heatmap[row, column] = 1
    return heatmap


def test_positions_are_averaged_by_weight_without_truncation():
    maps = np.stack([one_hot(0, 0), one_hot(0, 9), one_hot(9, 4)])
    x, y = merge_points(maps, (0.2, 0.2, 0.6), "positions")
    assert x == pytest.approx(0.2 * 0.05 + 0.2 * 0.95 + 0.6 * 0.45)
    assert y == pytest.approx(0.4 * 0.05 + 0.6 * 0.95)


@pytest.mark.parametrize("merge", ["positions", "maps", "product"])
def test_prompts_of_weight_zero_do_not_count(merge):
    maps = np.stack([one_hot(0, 0), one_hot(0, 9), one_hot(9, 4)])
    assert merge_points(maps, (0.0, 0.0, 1.0), merge) == peak(maps[2])


def test_product_raises_maps_to_their_relative_weights():
    maps = np.random.default_rng(0).random((3, 4, 4))
    expected = maps[0] * maps[1] * maps[2] ** 3
    np.testing.assert_allclose(merge_maps(maps, (0.2, 0.2, 0.6), "product"), expected)


def test_upsampling_keeps_values_between_the_patches():
    maps = upsample(torch.tensor([[[0.0, 1.0], [0.5, 0.25]]]), (32, 48))
    assert maps.shape == (1, 32, 48)
    assert maps[0, 0, 0] == 0 and maps[0, 0, -1] == 1 and maps[0, -1, 0] == 0.5
