"""Cues that show an action are kept, the others are left out with a reason."""

import re

import pytest

from videogem.narration.action_cues import why_no_action


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
