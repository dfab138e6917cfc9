"""Signals against plain formulas, one map and one frame at a time."""

import numpy as np
import pytest
import torch

from tests.towers import tiny_backbone, tiny_viclip_backbone
from videogem.grounding import VideoGEM
from videogem.method.places import find_places
from videogem.method.signals import NEUTRAL_PROMPTS, map_signals
from videogem.structures import Clip

NARRATIONS = ["cut the tomato", "wash the car", "ride a horse"]
WEIGHTS = (0.2, 0.2, 0.6)


@pytest.fixture
def clips(random_frame):
    return [Clip.from_image(np.roll(random_frame, 7 * shift, axis=1)) for shift in range(3)]


def peaked(*places, size=14):
    """A map of narrow peaks: row, column, height."""
    found = np.zeros((size, size), np.float32)
    for row, column, height in places:
        found[row, column] = height
    return found


def signals_of(*maps):
    patches = np.stack(maps)[None]
    flat = patches.reshape(1, len(maps), -1)
    spans = np.stack([flat.min(-1), flat.max(-1)], axis=-1)
    return map_signals(patches, spans, WEIGHTS)[0].tolist()


def test_the_second_peak_is_the_highest_that_lies_apart():
    one = peaked((3, 3, 1.0), (10, 10, 0.4), (3, 12, 0.7))
    margin, spread = signals_of(one, one, one)
    assert margin == pytest.approx(0.3)
    assert spread == pytest.approx(2 / 14**2)
    near = peaked((3, 3, 1.0), (3, 5, 0.9))  # within a fifth of the side: the same peak
    assert signals_of(near, near, near)[0] == pytest.approx(1.0)


def test_margin_and_spread_are_of_the_merged_map():
    here, there = peaked((3, 3, 1.0)), peaked((10, 10, 1.0))
    margin, spread = signals_of(here, here, there)
    assert margin == pytest.approx(0.6 - 0.4)
    assert spread == pytest.approx(2 / 14**2)


def test_constant_maps_have_no_margin():
    flat = np.full((14, 14), 0.3, np.float32)
    assert signals_of(flat, flat, flat) == [0.0, 1.0]


@pytest.mark.parametrize("backbone", [tiny_backbone, tiny_viclip_backbone])
def test_each_signal_is_what_its_formula_says(backbone, clips):
    grounder = VideoGEM(backbone())
    for clip, found in zip(clips, grounder.ground_batch(clips, [NARRATIONS] * 3), strict=True):
        actions = [g.signals.action for g in found]
        for place, grounding in enumerate(found):
            signals = grounding.signals
            cosines = grounder.similarity(clip, grounding.prompts.texts)
            own = (signals.verb, signals.object, signals.action)
            np.testing.assert_allclose(own, cosines, atol=1e-5)
            neutral = grounder.similarity(clip, NEUTRAL_PROMPTS)
            assert signals.neutral == pytest.approx(neutral.mean(), abs=1e-5)
            assert signals.neutral_spread == pytest.approx(neutral.std(), abs=1e-5)
            others = max(value for other, value in enumerate(actions) if other != place)
            assert signals.others == pytest.approx(signals.action - others, abs=1e-5)
            away = [np.hypot(*np.subtract(p, grounding.point)) for p in grounding.points.values()]
            assert signals.agreement == pytest.approx(1 - np.average(away, weights=WEIGHTS))
            merged = np.average(grounding.heatmaps, axis=0, weights=WEIGHTS)
            height, width = merged.shape
            x, y = grounding.point
            assert signals.height == pytest.approx(
                merged[int(y * height), int(x * width)], abs=1e-5
            )


def test_a_narration_by_itself_has_no_others(clips):
    (found,) = VideoGEM(tiny_backbone()).ground(clips[0], ["cut the tomato"])
    assert found.signals.others is None
    assert "others" not in found.signals.as_dict()


def test_signals_do_not_hang_on_who_shares_the_batch(clips):
    together = VideoGEM(tiny_backbone()).ground_batch(clips, [NARRATIONS, ["wash"], NARRATIONS[:2]])
    alone = VideoGEM(tiny_backbone(), cache_megabytes=0)
    for clip, found in zip(clips, together, strict=True):
        expected = alone.ground(clip, [one.narration for one in found])
        for one, other in zip(found, expected, strict=True):
            assert one.signals.as_dict(5) == pytest.approx(other.signals.as_dict(5), abs=2e-5)


def test_what_is_brought_along_comes_back_unchanged():
    bring = torch.rand(2, 6, 3)
    found = find_places(torch.rand(2, 6, 4, 5), (64, 80), 0.5, bring)
    np.testing.assert_array_equal(found.brought, bring.numpy())
