"""Stability is the distance of points that the grounder itself gives, no more."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes import FakeGrounder
from tests.towers import tiny_backbone
from videogem.grounding import VideoGEM
from videogem.stability import with_stability
from videogem.structures import Clip

NARRATIONS = ["cut the tomato", "wash the car"]


@pytest.fixture
def clip(random_frame) -> Clip:
    frames = np.stack([np.roll(random_frame, 9 * shift, axis=1) for shift in range(3)])
    return Clip(frames, np.arange(3) / 4, np.arange(3), target=1)


def distance(one, other):
    return np.hypot(one[0] - other[0], one[1] - other[1])


def test_each_is_measured_against_the_point_of_the_other_frame(clip):
    grounder = VideoGEM(tiny_backbone())
    found = with_stability(grounder, clip, grounder.ground(clip, NARRATIONS))
    turned = Clip.from_image(np.ascontiguousarray(clip.target_frame[:, ::-1]))
    mirrored = grounder.ground(turned, NARRATIONS)
    beside = [grounder.ground(replace(clip, target=place), NARRATIONS) for place in (0, 2)]
    for place, grounding in enumerate(found):
        x, y = mirrored[place].point
        expected = 1 - distance((1 - x, y), grounding.point)
        assert grounding.signals.mirrored == pytest.approx(expected, abs=1e-6)
        farthest = max(distance(each[place].point, grounding.point) for each in beside)
        assert grounding.signals.neighbours == pytest.approx(1 - farthest, abs=1e-6)


def test_a_frame_of_one_colour_is_as_it_is_when_mirrored():
    grounder = VideoGEM(tiny_backbone())
    clip = Clip.from_image(np.full((64, 64, 3), 90, np.uint8))
    (plain,) = grounder.ground(clip, ["wash"])
    (found,) = with_stability(grounder, clip, [plain])
    assert found.signals.mirrored == pytest.approx(1 - 2 * abs(plain.point[0] - 0.5), abs=1e-6)
    assert found.signals.neighbours is None  # a still image


def test_nothing_else_changes_and_heatmaps_stay_lazy(clip):
    grounder = VideoGEM(tiny_backbone())
    (plain,) = grounder.ground(clip, ["wash"])
    (found,) = with_stability(grounder, clip, [plain])
    assert callable(vars(found)["_heatmaps"])
    np.testing.assert_array_equal(found.heatmaps, plain.heatmaps)
    assert (found.point, found.box, found.score) == (plain.point, plain.box, plain.score)
    assert replace(found.signals, mirrored=None, neighbours=None) == plain.signals


def test_a_system_without_signals_gets_none():
    grounder = FakeGrounder()
    clip = Clip.from_image(np.zeros((8, 8, 3), np.uint8))
    (found,) = with_stability(grounder, clip, grounder.ground(clip, ["cut it"]))
    assert found.signals is None
