import json

import numpy as np
import pytest

from videogem.demo_world.sprites import load_sprites, visible_bounds
from videogem.demo_world.training.pack import VERBS, round_colours, tidy_name, tile
from videogem.demo_world.vocabulary import DEMO_DIRECTORY, load_vocabulary

MEGABYTE = 1e6


def test_every_word_has_art_that_can_be_seen():
    sprites, vocabulary = load_sprites(), load_vocabulary()
    assert sprites.images.shape == (2506, 64, 64, 4)
    assert len(sprites.verb_sprites) == len(vocabulary.verbs)
    assert len(sprites.object_sprites) == len(vocabulary.objects)
    groups = sprites.verb_sprites + sprites.object_sprites
    assert all(groups)
    assert sorted(number for group in groups for number in group) == list(range(2506))
    x1, y1, x2, y2 = sprites.bounds.T
    assert (x2 - x1 > 0.1).all() and (y2 - y1 > 0.1).all()


def test_the_unseen_style_lacks_some_words_only():
    fluent = load_sprites("fluent")
    shown = [sum(map(bool, groups)) for groups in (fluent.verb_sprites, fluent.object_sprites)]
    assert shown[0] >= 35 and shown[1] >= 500
    trained = load_sprites()
    for ours, theirs in zip(fluent.object_sprites[:50], trained.object_sprites[:50], strict=True):
        for number in ours:
            for other in theirs:
                assert not np.array_equal(fluent.images[number], trained.images[other])


def test_visible_bounds_of_a_known_square():
    image = np.zeros((1, 64, 64, 4), np.uint8)
    image[0, 8:24, 16:48, 3] = 255
    image[0, 0, 0, 3] = 40  # too faint to count
    np.testing.assert_allclose(visible_bounds(image), [[0.25, 0.125, 0.75, 0.375]])


def test_colours_move_by_two_at_most():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(4, axis=2)
    rounded = round_colours(pixels)
    assert np.abs(rounded.astype(int) - pixels).max() <= 2
    assert rounded.max() == 255


def test_tile_and_cut_are_inverse(tmp_path):
    rng = np.random.default_rng(0)
    sprites = [rng.integers(0, 256, (64, 64, 4), dtype=np.uint8) for _ in range(60)]
    sheet = tile(sprites)
    assert sheet.shape == (128, 51 * 64, 4)
    np.testing.assert_array_equal(sheet[64:, 8 * 64 : 9 * 64], sprites[59])


@pytest.mark.parametrize(
    ("raw", "tidy"), [("cat2", "cat"), ("tv", "television"), ("mag right", "magnifying glass")]
)
def test_tidy_names(raw, tidy):
    assert tidy_name(raw) == tidy
    assert tidy in load_vocabulary().objects


def test_the_packing_script_and_the_packed_file_name_the_same_verbs():
    stored = json.loads((DEMO_DIRECTORY / "sprites.json").read_text())
    assert stored["verbs"] == [[gerund, base] for gerund, base, _ in VERBS]


def test_files_stay_within_their_budget():
    def size(pattern: str) -> float:
        return sum(path.stat().st_size for path in DEMO_DIRECTORY.glob(pattern)) / MEGABYTE

    assert size("sprites.*") <= 6
    assert size("fluent.*") <= 2
    assert size("model.safetensors") <= 16
    assert 0 < size("clips/*") <= 8


def test_attribution_names_every_art_set_and_licence():
    text = (DEMO_DIRECTORY / "ATTRIBUTION.md").read_text()
    for needed in (
        "Noto",
        "Apache License 2.0",
        "Twemoji",
        "Creative Commons Attribution 4.0",
        "https://creativecommons.org/licenses/by/4.0/",
        "Cal Henderson",
        "Fluent UI Emoji",
        "Microsoft Corporation",
        "Permission is hereby granted",
        "Changes made",
    ):
        assert needed in text
