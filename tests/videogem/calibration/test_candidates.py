"""Every choice that is read off is what the method gives with those settings."""

from dataclasses import replace

import numpy as np
import pytest

from tests.towers import tiny_backbone
from videogem.calibration.candidates import LAYERS, Sample, choices_of, measure
from videogem.grounding import VideoGEM
from videogem.method.settings import MethodSettings
from videogem.metrics import box_iou, hit
from videogem.structures import Clip

BOXES = ((0.1, 0.1, 0.6, 0.7), (0.5, 0.5, 0.9, 0.9))
NARRATIONS = ("cut the tomato", "wash the car")


@pytest.fixture(scope="module")
def grounder() -> VideoGEM:
    return VideoGEM(tiny_backbone(), MethodSettings(depth=3, static_weights=(0.3, 0.5, 0.7, 0.9)))


@pytest.fixture
def samples(random_frame) -> list[Sample]:
    clip = Clip.from_image(random_frame)
    return [Sample(clip, text, BOXES, text) for text in NARRATIONS]


def test_what_is_in_use_comes_first(grounder):
    choices = choices_of(grounder.settings)
    assert choices[0] == {"merge_weights": (0.2, 0.2, 0.6), "box_threshold": 0.5}
    assert len({repr(sorted(choice.items())) for choice in choices}) == len(choices)
    own = choices_of(replace(grounder.settings, box_threshold=0.45, merge_weights=(1.0, 1.0, 1.0)))
    assert own[0] == {"merge_weights": (1.0, 1.0, 1.0), "box_threshold": 0.45}
    assert len(own) == len(LAYERS) * 8 * 6


def test_each_choice_is_the_method_with_those_settings(grounder, samples):
    found = measure(grounder, samples)
    assert found.hits.shape == found.overlaps.shape == (2, len(found.choices))
    rng = np.random.default_rng(0)
    for choice in [0, *rng.choice(len(found.choices), 24, replace=False).tolist()]:
        settings = replace(grounder.settings, **found.choices[choice])
        own = VideoGEM(grounder.backbone, settings)
        signals = found.signals_of(choice)
        for row, sample in enumerate(samples):
            (expected,) = own.ground(sample.clip, [sample.narration])
            assert found.hits[row, choice] == hit(expected.point, BOXES)
            overlap = max(box_iou(expected.box, box) for box in BOXES)
            assert found.overlaps[row, choice] == pytest.approx(overlap, abs=1e-6)
            assert signals[row].as_dict() == pytest.approx(expected.signals.as_dict(), abs=2e-4)


def test_rows_are_taken_with_all_that_belongs_to_them(grounder, samples):
    found = measure(grounder, samples)
    (second,) = [found.take([1])]
    assert second.videos == (NARRATIONS[1],)
    assert second.signals_of(7) == found.signals_of(7)[1:]
    np.testing.assert_array_equal(second.overlaps, found.overlaps[1:])


def test_samples_are_read_one_at_a_time(grounder, samples):
    read: list[int] = []
    done: list[int] = []

    def lazily():
        for number, sample in enumerate(samples, start=1):
            assert len(done) == number - 1
            read.append(number)
            yield sample

    measure(grounder, lazily(), done.append, LAYERS[:1])
    assert read == done == [1, 2]
