"""JSON, and several values of it in a row; what may be in it, `transcripts` tells apart."""

import json
import re
from typing import Any

from videogem.errors import InputError
from videogem.narration.cues import Cue
from videogem.narration.form import Form, Written
from videogem.narration.timed_text import has_times
from videogem.narration.transcripts import parse_json

_FRAMES = re.compile(r"\{\d+\}\{\d+\}")  # MicroDVD


def _loaded(text: str, name: str) -> Any:
    try:
        return _documents(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise InputError(f"{name} is not valid JSON ({reason}); export it again.") from None


def _documents(text: str) -> Any:
    """One JSON value; several in a row, as Vosk and JSON lines have them, make a list."""
    decoder = json.JSONDecoder()
    text = text.strip()
    value, place = decoder.raw_decode(text)
    if place == len(text):
        return value
    values = [value]
    while place < len(text):
        value, place = decoder.raw_decode(text, _skip_blanks(text, place))
        values.append(value)
    return values


def _skip_blanks(text: str, place: int) -> int:
    return place + len(text[place:]) - len(text[place:].lstrip(" \t\r\n,"))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def _read(said: Written) -> list[Cue]:
    return parse_json(_loaded(said.text, said.name), video=said.video, duration=said.duration)


def _shows(said: Written) -> bool:
    if not said.head.startswith(("{", "[{", "[\n", "[ ")) or _FRAMES.match(said.head):
        return False
    return said.suffix not in (".srt", ".vtt", ".txt") or _is_json(said.text)


FORMS = (
    Form(
        "json",
        _read,
        (".json", ".json3"),
        shows=_shows,
        likely=lambda said: said.head.startswith(("{", "[")) and not has_times(said.text),
        rank=70,
    ),
)
