"""`videogem prompts`: what will be asked, told without a model."""

import json

import pytest
from typer.testing import CliRunner

from backend.cli import app
from videogem.errors import InputError


def run(*args):
    return CliRunner().invoke(app, ["prompts", *map(str, args)], catch_exceptions=False).stdout


def test_json_has_what_is_asked_for_every_narration():
    first, second = json.loads(run("Turn the oven off.", "- ANN: (laughs) cook it", "--json"))
    assert first == {
        "narration": "Turn the oven off.",
        "verbs": ["turn off"],
        "objects": ["oven"],
        "verb_prompt": "A photo of a person turn off something.",
        "object_prompt": "A photo of a person using oven.",
        "action_prompt": "A photo of a person turn the oven off.",
        "notes": [],
    }
    assert second["narration"] == "- ANN: (laughs) cook it"
    assert (second["verbs"], second["objects"]) == (["cook"], [])
    assert any("No object" in note for note in second["notes"])
    assert any("Read as 'cook it'" in note for note in second["notes"])


def test_the_papers_cut():
    (row,) = json.loads(run("Now you turn off the oven.", "--paper-words", "--json"))
    assert row["verbs"] == ["turn"]
    assert row["action_prompt"] == "A photo of a person Now you turn off the oven."


def test_files_of_narrations(tmp_path):
    (tmp_path / "a.txt").write_text("Fry the bacon.\n\nPeel potatoes.\n")
    (tmp_path / "b.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nFry the bacon.\n")
    (tmp_path / "c.jsonl").write_text('{"text": "Fry the bacon."}\n"Peel potatoes."\n')
    assert [row["verbs"] for row in json.loads(run("--file", tmp_path / "a.txt", "--json"))] == [
        ["fry"],
        ["peel"],
    ]
    assert "fry the bacon" in run("--file", tmp_path / "b.srt")
    assert len(json.loads(run("--file", tmp_path / "c.jsonl", "--json"))) == 2


def test_another_language_is_noticed():
    (row,) = json.loads(run("Jetzt schneidest du die Tomate mit dem Messer", "--json"))
    assert "seems to be German" in row["notes"][0]
    (row,) = json.loads(run("cut tomato", "--json"))
    assert row["notes"] == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Give a narration"),
        (("cut", "--style", "x"), "--style must be"),
        (("...",), "narration is empty"),
        (("--file", "nothing.srt"), "There is no narration file"),
    ],
)
def test_errors(args, said):
    with pytest.raises(InputError, match=said):
        run(*args)
