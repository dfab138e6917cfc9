"""Which label a region gets: one case per rule of `backend.labeling.labels`."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from backend.labeling.labels import choose_choices, choose_label, parts_to_point
from backend.labeling.targets import Control, Label
from tests.fakes import FakeGrounder
from videogem.structures import Clip, Grounding

CLIP = Clip.from_image(np.zeros((8, 8, 3), np.uint8))


def ground(narration: str) -> Grounding:
    [grounding] = FakeGrounder().ground(CLIP, [narration])
    return grounding


def labels(*names: str) -> tuple[Label, ...]:
    """``knife=slicer`` is a label with another name."""
    parts = [name.partition("=") for name in names]
    return tuple(
        Label(value, tuple(filter(None, (other, value.lower())))) for value, _, other in parts
    )


def longest(texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


@pytest.mark.parametrize(
    ("names", "narration", "expected"),
    [
        (("Action", "Object"), "cut tomato", "Action"),  # role
        (("hand", "x=action"), "cut tomato", "x"),  # role by predicted_values
        (("hand", "Action box"), "cut tomato", "Action box"),  # role and shape
        (("verb", "Object", "hand"), "cut tomato", "hand"),  # the one that is left
        (("only",), "cut tomato", "only"),  # single
        (("pour", "cut"), "cut tomato", "cut"),  # verb
        (("knife", "Tomato"), "cut tomato", "Tomato"),  # object
        (("pour", "split=cut"), "cut tomato", "split"),  # another word for it
        (("tomato", "cut the tomato"), "cut the tomato", "cut the tomato"),  # the narration
        (("knife", "red tomato", "tomato"), "cut red tomato", "red tomato"),  # most words
        (("pour", "cut"), "cutting tomatoes", "cut"),  # inflected
        (("art", "hand"), "start over", "hand"),  # no word inside another: similarity
        (("hand", "left hand"), "wave", "left hand"),  # similarity
    ],
)
def test_labels(names: tuple[str, ...], narration: str, expected: str) -> None:
    assert choose_label(labels(*names), "action", ground(narration), longest) == expected


def test_without_a_comparing_model_the_first_label_is_taken() -> None:
    assert choose_label(labels("a", "b"), "action", ground("cut tomato"), None) == "a"


def test_no_labels_no_label() -> None:
    assert choose_label((), "action", ground("cut tomato"), None) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ["action"]),
        (("tip",), ["action"]),
        (("Action", "Verb", "Object"), ["action", "verb", "object"]),
        (("Object", "hand"), ["action", "object"]),
        (("Action point", "Object point"), ["action", "object"]),
        (("Object",), ["object"]),
    ],
)
def test_parts(names: tuple[str, ...], expected: list[str]) -> None:
    control = Control("keypoint", "KeyPointLabels", "k", "i", "keypointlabels", labels(*names))
    assert parts_to_point(control, ground("cut tomato")) == expected


def test_a_narration_without_an_object_points_at_none() -> None:
    control = Control(
        "keypoint", "KeyPointLabels", "k", "i", "keypointlabels", labels("Action", "Object")
    )
    assert parts_to_point(control, ground("cut")) == ["action"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("verb", ["cut"]), ("object", ["tomato"]), ("what", ["cut"])],
)
def test_choices(name: str, expected: list[str]) -> None:
    control = Control("choices", "Choices", name, "i", "choices", labels("tomato", "cut", "pour"))
    assert choose_choices(control, ground("cut tomato"), None) == expected


def test_choices_that_do_not_fit_are_left_open() -> None:
    control = Control("choices", "Choices", "verb", "i", "choices", labels("stir", "pour"))
    assert choose_choices(control, ground("cut tomato"), None) == []
    told = dataclasses.replace(control, options={"model_prompts": ("object",)})
    assert choose_choices(told, ground("cut stir"), None) == ["stir"]
