"""SubStation Alpha (ASS, SSA) → cues, without shapes, comments and marks of style."""

import re

from videogem.narration.clocks import seconds
from videogem.narration.cues import Cue

_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?:\{[^{}]*\\p0[^{}]*\}|$)")
_MARKS = re.compile(r"\{[^{}]*\}")
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
