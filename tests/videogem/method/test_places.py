"""What is read off a batch of heatmaps equals what is read off each map by itself."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from videogem.method import places as module
from videogem.method.boxes import action_box
from videogem.method.heatmaps import merge_points, min_max_normalize, peak
from videogem.method.places import find_places
from videogem.method.similarity import upsample
from videogem.structures import Grounding, Prompts

SIZE = (64, 80)
WEIGHTS = (0.2, 0.2, 0.6)


@pytest.mark.parametrize("threshold", [0.41, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(10))
def test_the_batch_gives_what_each_map_gives(seed, threshold):
    rng = np.random.default_rng(seed)
    patches = rng.normal(size=(2, 6, 4, 5)).astype(np.float32)
    patches[0] = rng.choice([0, 0.13, 0.41, 0.77, 1], (6, 4, 5))  # plateaus and exact ties
    found = find_places(torch.from_numpy(patches), SIZE, threshold)
    upsampled = upsample(torch.from_numpy(patches), SIZE).numpy().reshape(12, *SIZE)
    heatmaps = min_max_normalize(upsampled).reshape(2, 6, *SIZE)
    for sample in range(2):
        for first in (0, 3):
            own = found.of(sample, slice(first, first + 3))
            maps = heatmaps[sample, first : first + 3]
            np.testing.assert_allclose(own.maps(), maps, atol=1e-5)
            assert own.points == list(map(peak, maps))
            assert own.action_box(WEIGHTS) == action_box(maps, WEIGHTS, threshold)
            assert own.action_box((0.0, 0.0, 1.0)) == action_box(maps, (0.0, 0.0, 1.0), threshold)
            for merge in ("positions", "maps", "product"):
                point = own.merged_point(WEIGHTS, merge)
                lazy = maps if merge == "positions" else own.maps()
                assert point == merge_points(lazy, WEIGHTS, merge)
                row, column = int(point[1] * SIZE[0]), int(point[0] * SIZE[1])
                np.testing.assert_allclose(own.heights(point), maps[:, row, column], atol=1e-5)


def test_a_constant_map_has_its_middle_and_no_height():
    own = find_places(torch.full((1, 3, 4, 5), 0.5), SIZE, 0.5).of(0, slice(0, 3))
    assert own.peaks == [[31, 39]] * 3
    assert not any(own.heights((0.5, 0.5)))


def test_heatmaps_are_computed_when_somebody_looks_and_once():
    calls = []

    def heatmaps():
        calls.append(1)
        return np.ones((3, 2, 2), np.float32)

    fields = {
        "narration": "cut",
        "prompts": Prompts("a", "b", "c"),
        "points": {},
        "point": (0.0, 0.0),
        "box": (0.0, 0.0, 1.0, 1.0),
        "score": 0.5,
        "frame_index": 0,
        "time": 0.0,
        "size_wh": (2, 2),
        "method": "videogem",
        "model_version": "1",
    }
    grounding = Grounding.lazily(heatmaps, **fields)
    assert not calls
    assert grounding.heatmaps.shape == (3, 2, 2)
    assert grounding.heatmaps is grounding.heatmaps
    assert len(calls) == 1
    with pytest.raises(TypeError, match="heatmaps"):
        Grounding(**fields)
    maps = find_places(torch.rand(1, 3, 4, 5), SIZE, 0.5).of(0, slice(0, 3)).maps
    copy = pickle.loads(pickle.dumps(Grounding.lazily(maps, **fields)))
    np.testing.assert_array_equal(copy.heatmaps, maps())


INTERPRETED = """
import numpy as np, torch
from videogem.method import places
from videogem.method.cuda_places import peaks_and_regions
from videogem.method.boxes import peak_region
from videogem.method.heatmaps import peak_pixel

def check(maps, threshold):
    # Maps of their patches' size are those patches.
    found = peaks_and_regions(torch.from_numpy(maps), maps.shape[1:], threshold).tolist()
    for heatmap, numbers in zip(maps, found, strict=True):
        pixel = peak_pixel(heatmap)
        assert numbers == [0, 1, *pixel, *peak_region(heatmap, pixel, threshold)]

rng = np.random.default_rng(0)
patches = torch.from_numpy(rng.choice([0, 0.13, 0.41, 0.77, 1], (2, 3, 4, 5)).astype(np.float32))
patches[0, 0] = 0
bring = torch.from_numpy(rng.random((2, 3, 3), np.float32))
expected = places.find_places(patches, (28, 40), 0.41, bring)
found = places.unpack(places.find_packed(patches, (28, 40), 0.41, bring), (4, 5), (28, 40))
for name in ("patches", "peaks", "regions", "brought"):
    np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
np.testing.assert_allclose(found.spans, expected.spans, rtol=1e-6)
check((rng.random((2, 20, 70)) > 0.6).astype(np.float32), 0.5)
snake = np.zeros((1, 8, 40), np.float32)
snake[0, ::2] = 1
snake[0, 1::4, 39] = snake[0, 3::4, 0] = 1
check(snake, 0.5)
# A spiral of one pixel's width that goes through corners, in maps of several words.
spiral = np.zeros((1, 40, 70), np.float32)
for turn in range(0, 18, 4):
    spiral[0, turn, turn:70 - turn] = spiral[0, turn:40 - turn, 69 - turn] = 1
    spiral[0, 39 - turn, turn:70 - turn] = 1
    spiral[0, turn + 4:40 - turn, turn] = 1
    spiral[0, turn + 3, turn + 1] = spiral[0, turn + 3, turn + 2] = 1
spiral[0, 20:, 40] = 0
check(spiral, 0.5)
"""


def test_the_kernel_finds_the_same_pixels():
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel itself needs CUDA")
@pytest.mark.parametrize("size", [14, 24, 28])
def test_the_kernel_on_cuda_finds_the_same_pixels(size):
    rng = np.random.default_rng(size)
    levels = rng.choice([0, 0.13, 0.41, 0.77, 1], (20, 6, size, size)).astype(np.float32)
    smooth = rng.normal(size=(20, 6, size, size)).astype(np.float32)
    for patches in (levels, smooth):
        similarities = torch.from_numpy(patches).cuda()
        pixels = (16 * size, 16 * size)
        for threshold in (0.41, 0.5, 1.0):
            assert module.has_kernel(similarities, pixels)
            found = find_places(similarities, pixels, threshold)
            # The same maps on the CPU, so that only the kernel differs.
            maps = upsample(similarities, pixels)
            low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
            heat = ((maps - low) / (high - low)).flatten(0, 1).cpu().numpy()
            pixel = [module.peak_pixel(one) for one in heat]
            region = [
                module.peak_region(one, at, threshold) for one, at in zip(heat, pixel, strict=True)
            ]
            assert found.peaks.reshape(-1, 2).tolist() == [list(at) for at in pixel]
            assert found.regions.reshape(-1, 4).tolist() == [list(one) for one in region]
