"""Cues that show an action are kept, the others are left out with a reason."""

import re
from pathlib import Path

import pytest

from videogem.narration.action_cues import why_no_action
from videogem.narration.reading import read_cues

DATA = Path(__file__).parents[2] / "data" / "narration"


@pytest.mark.parametrize(
    "text",
    [
        "crack two eggs",
        "whisk them",
        "now you cook the carrots",
        "stir soup",
        "and then we're going to cut the tomato",
        "you want to add the salt",
        "I'll show you how to fold the dough",
        "[applause] pour the milk",
        "she is riding a bicycle",
        "cut_tomato",
        "TakingPhotosOrVideos",
        "Don't forget to wash the spinach.",
        "SPEAKER_00: Cut carrots into slices",
    ],
)
def test_kept(text):
    assert why_no_action(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Music]", "only sound"),
        ("♪ la la ♪", "only sound"),
        ("...", "only sound"),
        ("hi guys welcome to my kitchen", "to the audience"),
        ("thanks for watching", "to the audience"),
        ("I think this is really good", "only think"),
        ("as you can see it's brown", "only see"),
        ("it's very hot", "no verb"),
        ("don't cut it yet", r"not done \(cut\)"),
    ],
)
def test_left_out(text, reason):
    found = why_no_action(text)
    assert found is not None and re.search(reason, found)


def test_every_imperative_is_kept():
    cues = read_cues(DATA / "captions" / "actions.srt")
    assert [(cue.text, why_no_action(cue.text)) for cue in cues] == [(c.text, None) for c in cues]
    assert len(cues) == 6
