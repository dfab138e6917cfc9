"""SubStation Alpha (ASS, SSA) → cues, without shapes, comments and marks of style."""

import re

from videogem.narration.clocks import seconds
from videogem.narration.cues import Cue
from videogem.narration.form import Form, Written

_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?:\{[^{}]*\\p0[^{}]*\}|$)")
_MARKS = re.compile(r"\{[^{}]*\}")
_DIALOGUE = re.compile(r"^Dialogue: ", re.MULTILINE)
_BREAKS = re.compile(r"\\[Nnh]")
_USUAL = "layer,start,end,style,name,marginl,marginr,marginv,effect,text"


def parse_substation(text: str) -> list[Cue]:
    """Cues of the dialogue lines; their Format line says where times and words are."""
    cues = []
    columns = _USUAL.split(",")
    in_events = False
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(":")
        if kind.startswith("["):
            in_events = kind.lower() == "[events]"
        elif kind == "Format" and in_events:
            columns = [name.strip().lower() for name in rest.split(",")]
        elif kind == "Dialogue":
            row = dict(zip(columns, rest.split(",", len(columns) - 1), strict=False))
            start, end = seconds(row.get("start", "")), seconds(row.get("end", ""))
            if start is not None and end is not None:
                cues.append(Cue(start, end, _said(row.get("text", ""))))
    return cues


def _said(text: str) -> str:
    return " ".join(_BREAKS.sub(" ", _MARKS.sub("", _DRAWING.sub("", text))).split())


def _shows(said: Written) -> bool:
    return said.head.startswith("[Script Info]") or bool(_DIALOGUE.search(said.head))


FORMS = (
    Form(
        "ass",
        lambda said: parse_substation(said.text),
        (".ass", ".ssa"),
        shows=_shows,
        rank=40,
    ),
)
