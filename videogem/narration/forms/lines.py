"""Lines with times between or before the words, or without any."""

import re

from videogem.narration.cues import Cue
from videogem.narration.form import Form, Written, always
from videogem.narration.forms.tables import is_table
from videogem.narration.timed_text import parse_plain, parse_timed_text

_MICRODVD = re.compile(r"\{\d+\}\{\d+\}")


def _timed(said: Written) -> list[Cue]:
    return parse_timed_text(said.text)


def _plain(said: Written) -> list[Cue]:
    return parse_plain(said.text, duration=said.duration)


def _as_it_is(said: Written) -> list[Cue]:
    return parse_plain(said.text, duration=said.duration, untimed=True)


FORMS = (
    Form("sbv", _timed, (".sbv",), rank=55),
    Form("lrc", _timed, (".lrc",), rank=55),
    # A time with each line, or none at all.
    Form(
        "plain",
        _plain,
        (".txt",),
        shows=lambda said: bool(_MICRODVD.match(said.head)),
        fits=lambda said: not is_table(said.text),
        likely=always,
        rank=90,
    ),
    Form("text", _as_it_is, rank=95),  # every line as it is, where this is asked for
)
