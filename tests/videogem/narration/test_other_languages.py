"""Narration in another language, with a spaCy model of that language named.

spaCy's own models of other languages are no packages of the public index, so one is made here: it
tags as they do, by rules, and lies in a folder.
"""

import json

import pytest
import spacy
from typer.testing import CliRunner

from backend import cli
from videogem.errors import InputError
from videogem.narration.prompts import parse

TAGS = {
    "VERB": ("schneide", "brate", "rühre"),
    "NOUN": ("zwiebel", "fleisch", "pfanne", "eier"),
    "ADJ": ("rote",),
    "DET": ("die", "das", "der"),
}


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    made = spacy.blank("de")
    ruler = made.add_pipe("attribute_ruler")
    for tag, words in TAGS.items():
        for word in words:
            ruler.add([[{"LOWER": word}]], {"POS": tag})
    folder = tmp_path_factory.mktemp("spacy") / "de_made"
    made.to_disk(folder)
    return str(folder)


@pytest.mark.parametrize("words", ["everyday", "paper"])
@pytest.mark.parametrize(
    ("said", "verb", "thing"),
    [
        ("Schneide die Zwiebel.", "Schneide", "Zwiebel"),
        ("Brate das Fleisch in der Pfanne", "Brate", "Fleisch"),
        ("Rühre zwei Eier", "Rühre", "Eier"),
    ],
)
def test_words_are_found_by_the_tags_of_the_model(german, words, said, verb, thing):
    found = parse(said, words=words, style="narration", spacy_model=german)
    assert (found.verbs[0], found.objects[0]) == (verb, thing)


def test_the_command_takes_a_folder_and_says_no_more_that_the_model_is_english(german):
    asked = ["prompts", "Schneide jetzt die Zwiebel und brate das Fleisch.", "--json"]
    result = CliRunner().invoke(cli.app, [*asked, "--spacy-model", german])
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.stdout)
    assert (row["verbs"][0], row["objects"][0]) == ("Schneide", "Zwiebel")
    assert not [note for note in row["notes"] if "English" in note]
    assert [note for note in row["notes"] if "multilingual tower" in note]


@pytest.mark.parametrize("content", ["no tags", "no folder", "damaged"])
def test_a_model_that_cannot_be_used_is_told(tmp_path, content):
    folder = tmp_path / "de_other"
    if content != "no folder":
        spacy.blank("de").to_disk(folder)
    if content == "damaged":
        (folder / "config.cfg").write_text("[nlp]\nlang = 7\n")
    with pytest.raises(InputError, match="de_other"):
        parse("Schneide die Zwiebel", spacy_model=str(folder))
