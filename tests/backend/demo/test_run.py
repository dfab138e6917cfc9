import numpy as np
import pytest

from videogem.demo_world.scenes import unseen_pairs
from videogem.demo_world.splits import SPLITS, demo_scenes
from videogem.demo_world.vocabulary import load_vocabulary

DRAWN = [split for split in SPLITS if split != "moving-clips"]


def is_unseen(item):
    vocabulary = load_vocabulary()
    verb = [verb.base for verb in vocabulary.verbs].index(item.verb)
    return bool(unseen_pairs(vocabulary)[verb, vocabulary.objects.index(item.object)])


@pytest.mark.parametrize("split", SPLITS)
def test_items_are_well_formed(split):
    items = list(demo_scenes(split, num_scenes=4, num_actors=2, seed=1))
    assert len({item.id for item in items}) == len(items) == (4 if split == "moving-clips" else 8)
    for item in items:
        assert item.image.dtype == np.uint8 and item.image.flags["C_CONTIGUOUS"]
        assert item.object[:-1] in item.narration and item.verb.split(" ")[0][:4] in item.narration
        x1, y1, x2, y2 = item.box
        assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1
        for part in (item.person_box, item.object_box):
            assert x1 <= part[0] and y1 <= part[1] and part[2] <= x2 and part[3] <= y2
        assert is_unseen(item) == (split != "seen-pairs")


@pytest.mark.parametrize("split", DRAWN)
def test_same_arguments_same_items(split):
    first, again, other = (list(demo_scenes(split, num_scenes=2, seed=seed)) for seed in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        assert (a.id, a.narration, a.box) == (b.id, b.narration, b.box)
        np.testing.assert_array_equal(a.image, b.image)
    assert [item.box for item in first] != [item.box for item in other]


def test_any_frame_size():
    item = next(demo_scenes(num_scenes=1, size_wh=(320, 180)))
    assert item.image.shape == (180, 320, 3)


def test_all_cues_of_all_clips_are_items():
    items = list(demo_scenes("moving-clips", num_scenes=1000))
    assert len(items) >= 36
    assert len({item.image.shape for item in items}) >= 12
