import hashlib
import json

import numpy as np
import pytest

from videogem.demo_world.scenes import unseen_pairs
from videogem.demo_world.vocabulary import (
    DEMO_DIRECTORY,
    Verb,
    load_vocabulary,
    plural,
    with_article,
)

# Scenes made elsewhere, and the shipped weights, hold only for this choice of unseen pairs.
UNSEEN_SHA256 = "ca5003ff5663a0fb98b5535c41ae1da92b1ee33f3374e6ba9af775f7552246e9"
WORDS_SHA256 = "265df80843d4121fcefd3cd8759704324edd58a682b10a6a49193896c176e7a0"


def test_the_words_and_their_order_never_change():
    vocabulary = load_vocabulary()
    words = [verb.base for verb in vocabulary.verbs] + list(vocabulary.objects)
    assert (len(vocabulary.verbs), len(vocabulary.objects)) == (40, 540)
    assert hashlib.sha256("\n".join(words).encode()).hexdigest() == WORDS_SHA256


def test_the_unseen_pairs_never_change():
    unseen = unseen_pairs(load_vocabulary()).numpy()
    assert unseen.shape == (40, 540)
    assert unseen.sum() == 2195
    assert hashlib.sha256(np.packbits(unseen).tobytes()).hexdigest() == UNSEEN_SHA256


def test_vocabulary_json_of_the_model_agrees():
    stored = json.loads((DEMO_DIRECTORY / "vocabulary.json").read_text())
    vocabulary = load_vocabulary()
    assert stored["verbs"] == [[verb.gerund, verb.base] for verb in vocabulary.verbs]
    assert stored["objects"] == list(vocabulary.objects)


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("carrot", "carrots"),
        ("strawberry", "strawberries"),
        ("toy box", "toy boxes"),
        ("potato", "potatoes"),
        ("sheep", "sheep"),
        ("skis", "skis"),
        ("cactus", "cactuses"),
        ("key", "keys"),
        ("computer mouse", "computer mice"),
    ],
)
def test_plural(name, many):
    assert plural(name) == many


def test_every_object_has_other_forms_of_its_name():
    for name in load_vocabulary().objects:
        assert plural(name)
        assert with_article(name).split(" ", 1)[1] == name


def test_third_person_keeps_the_preposition():
    assert Verb("dancing with", "dance with").third_person == "dances with"
    assert Verb("catching", "catch").third_person == "catches"
    assert Verb("flying", "fly").third_person == "flies"
