"""Normalisation, peaks and merges."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from videogem.method.boxes import region_box
from videogem.method.heatmaps import (
    LEVEL,
    merge_maps,
    merge_points,
    min_max_normalize,
    peak,
    peak_pixel,
)
from videogem.method.similarity import upsample

MAPS = arrays(np.float32, (3, 5, 7), elements=st.floats(-1, 1, width=32, allow_subnormal=False))

WEIGHTS = (0.2, 0.2, 0.6)
ROUNDING = 1e-6  # three times what was seen between batches of different sizes
# Few levels, so that flat borders, plateaus and exact ties abound.
PATCHES = arrays(np.float32, (3, 4, 5), elements=st.sampled_from([0, 0.13, 0.41, 0.77, 1]))
SEEDS = st.integers(0, 2**32 - 1)


def upsampled(patches: np.ndarray) -> np.ndarray:
    rows, columns = patches.shape[1:]
    maps = upsample(torch.from_numpy(patches), (16 * rows, 16 * columns))
    return min_max_normalize(maps.numpy())


def rounded_otherwise(maps: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(-ROUNDING, ROUNDING, maps.shape)
    return (maps + noise).astype(np.float32)


def assume_none_near(heatmap: np.ndarray, edge: float) -> None:
    assume((np.abs(heatmap - edge) > 10 * ROUNDING).all())


@given(PATCHES, SEEDS)
def test_rounding_moves_no_peak_and_no_box(patches, seed):
    for heatmap in upsampled(patches):
        assume(heatmap.any())
        other = rounded_otherwise(heatmap, seed)
        assume_none_near(heatmap, 1 - LEVEL)
        assert peak(other) == peak(heatmap)
        for threshold in (0.41, 0.5, 1.0):  # some patches lie exactly on the first and the last
            if (np.abs(heatmap - (threshold - LEVEL)) > 10 * ROUNDING).all():
                assert region_box(other, threshold) == region_box(heatmap, threshold)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_rounding_moves_no_box_of_a_plateau_on_the_threshold(threshold):
    patches = np.zeros((1, 4, 5), dtype=np.float32)
    patches[0, 0, :3] = threshold  # a flat border strip, exactly as high as the threshold
    patches[0, 0, 0] = 1
    [heatmap] = upsampled(patches)
    boxes = {region_box(rounded_otherwise(heatmap, seed), threshold) for seed in range(20)}
    assert boxes == {region_box(heatmap, threshold)}


@pytest.mark.parametrize("merge", ["positions", "maps", "product"])
@given(patches=PATCHES, seed=SEEDS)
def test_rounding_moves_no_merged_point(merge, patches, seed):
    maps = upsampled(patches)
    for heatmap in maps if merge == "positions" else [merge_maps(maps, WEIGHTS, merge)]:
        span = heatmap.max() - heatmap.min()
        assume(span > 0.2)
        assume_none_near(heatmap, heatmap.max() - LEVEL * span)
    other = rounded_otherwise(maps, seed).clip(0, 1)
    assert merge_points(other, WEIGHTS, merge) == merge_points(maps, WEIGHTS, merge)


@pytest.mark.parametrize(
    ("highest", "pixel"),
    [
        ([(0, 0)], (3, 3)),  # a corner: eight by eight pixels are flat
        ([(3, 4)], (59, 75)),
        ([(1, 0)], (23, 3)),  # a border: two rows by eight columns
        ([(1, 2)], (23, 39)),  # inside: the four pixels round the patch's centre
        ([(2, 1), (1, 3)], (23, 55)),  # two that are equal: the first in reading order
        ([(1, 1), (1, 2), (1, 3)], (23, 39)),  # a ridge
    ],
)
def test_a_peak_is_the_middle_of_its_plateau(highest, pixel):
    patches = np.zeros((1, 4, 5), dtype=np.float32)
    for row, column in highest:
        patches[0, row, column] = 1
    [heatmap] = upsampled(patches)
    assert peak_pixel(heatmap) == pixel
    assert all(peak_pixel(rounded_otherwise(heatmap, seed)) == pixel for seed in range(10))


def test_a_peak_lies_on_its_plateau():
    ring = np.zeros((5, 5), dtype=np.float32)
    ring[1:4, 1:4] = 1
    ring[2, 2] = 0
    assert peak_pixel(ring) == (1, 2)


def test_a_pixel_that_leads_by_more_than_the_level_is_the_peak():
    heatmap = np.full((5, 7), 1 - 1.5 * LEVEL, dtype=np.float32)
    heatmap[0, 0], heatmap[3, 1] = 0, 1
    assert peak_pixel(heatmap) == (3, 1)


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
