"""Verb and object of the quality pages are those the prompts are made of, one row per word."""

import pytest

from backend.qa.words import words_of


@pytest.mark.parametrize(
    ("narration", "verb", "object"),
    [
        ("Now you cook the dumplings.", "cook", "dumpling"),
        ("cut the tomato", "cut", "tomato"),
        ("She is cutting tomatoes with a knife", "cut", "tomato"),
        ("Turn the oven off.", "turn off", "oven"),
        ("they turned off the oven", "turn off", "oven"),
        ("Place chicken in oven", "place", "chicken"),
        ("put the onions on the cutting board", "put", "onion"),
        ("pour olive oil into the pan", "pour", "olive oil"),
        ("put_egg to plate", "put", "egg"),
        ("TakingPhotos", "take", "photo"),
        ("SPEAKER_00: gonna peel the potatoes", "peel", "potato"),
        ("[Music]", "", ""),
    ],
)
def test_narrations(narration, verb, object):
    row = words_of({"narration": narration}).row()
    assert (row["verb"], row["object"]) == (verb, object)


def test_what_the_task_or_its_prediction_says_wins_in_the_same_form():
    data = {"narration": "cut the tomato", "verb": "Peeling", "object": "Carrots"}
    row = words_of(data).row()
    assert (row["verb"], row["object"]) == ("peel", "carrot")
    result = [{"from_name": "verb", "value": {"choices": ["slicing"]}}]
    row = words_of({"narration": "cut the tomato"}, result).row()
    assert (row["verb"], row["object"]) == ("slice", "tomato")


def test_a_task_without_words():
    assert words_of({"image": "a.jpg"}).row() == {
        "narration": "", "verb": "", "object": "", "video": "", "media": "a.jpg",
        "told_video": "",
    }  # fmt: skip


def test_a_video_is_told_by_the_task_or_guessed_from_a_folder():
    guessed = words_of({"image": "/data/kitchen_3/0001.jpg"})
    assert (guessed.video, guessed.told_video) == ("kitchen_3", "")
    told = words_of({"image": "/data/upload/7/0001.jpg", "source": "/clips/kitchen.mp4"})
    assert (told.video, told.told_video) == ("kitchen.mp4", "kitchen.mp4")


@pytest.mark.parametrize("host", ["http://[x", "//[", "http://a\u2100b"])
def test_an_address_that_nobody_can_read_does_not_cost_the_annotation_its_figures(
    host: str,
) -> None:
    words = words_of({"image": f"{host}/kitchen/0007.jpg?s=1", "narration": ""})
    assert (words.video, words.time) == ("kitchen", 7.0)
    assert words_of({"video": f"{host}/kitchen.mp4#t=1"}).told_video == "kitchen.mp4"


@pytest.mark.parametrize("scheme", ["data:", "DATA:"])
def test_a_picture_in_the_task_has_no_name(scheme: str) -> None:
    words = words_of({"image": f"{scheme}image/png;base64,AAAA/BBBB.png"})
    assert (words.media, words.video) == ("", "")
