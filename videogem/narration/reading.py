"""What was said and when: subtitles, transcripts and annotation files → cues; a cue → a time."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.captions import captioned, parse_captions
from videogem.narration.cues import Cue, Word, tidy
from videogem.narration.decoding import decode
from videogem.narration.markup import parse_sami, parse_xml
from videogem.narration.substation import parse_substation
from videogem.narration.tables import is_table, parse_csv
from videogem.narration.timed_text import has_times, parse_plain, parse_timed_text
from videogem.narration.transcripts import parse_json

__all__ = [
    "At", "Cue", "Format", "Word", "candidate_times", "cue_time", "parse_cues", "read_cues",
]  # fmt: skip

Format = Literal[
    "srt", "vtt", "sbv", "lrc", "json", "csv", "plain", "ass", "ttml", "xml", "sami", "text"
]
"""``plain`` has a time with each line or none at all; ``text`` takes every line as it is."""
At = Literal["start", "middle", "end"]

_BY_SUFFIX: dict[str, Format] = {
    ".srt": "srt",
    ".vtt": "vtt",
    ".sbv": "sbv",
    ".lrc": "lrc",
    ".json": "json",
    ".json3": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "plain",
    ".ass": "ass",
    ".ssa": "ass",
    ".ttml": "ttml",
    ".dfxp": "ttml",
    ".xml": "xml",
    ".eaf": "xml",
    ".srv1": "xml",
    ".srv2": "xml",
    ".srv3": "xml",
    ".smi": "sami",
    ".sami": "sami",
}
_COMMENTS = re.compile(r"\A(?:<!--.*?-->\s*|<!doctype[^>]*>\s*)+", re.DOTALL | re.IGNORECASE)
_MICRODVD = re.compile(r"\{\d+\}\{\d+\}")
_MAX_BYTES = 64 * 2**20


def read_cues(
    path: str | Path,
    format: Format | None = None,
    *,
    video: str | None = None,
    duration: Seconds | None = None,
) -> list[Cue]:
    """Read the cues of one video from a file, sorted by start; see `parse_cues`.

    Raises:
        InputError: there is no such file, it is no narration in any known form, or the video is
            not in it.
    """
    path = Path(path)
    return parse_cues(
        read_text(path),
        format,
        video=video,
        duration=duration,
        suffix=path.suffix.lower(),
        name=path.name,
    )


def parse_cues(
    source: str | Sequence[Any] | Mapping[str, Any],
    format: Format | None = None,
    *,
    video: str | None = None,
    duration: Seconds | None = None,
    suffix: str = "",
    name: str = "The text",
) -> list[Cue]:
    """Cues of the text of a file, or of task data (``[{"start", "end", "text"}]``).

    Content decides what it is; ``suffix`` helps where it may be several things, ``format``
    overrides both. ``video`` is the key (or file name) of the video in files about many.
    ``duration`` limits cues without an end and tells milliseconds from seconds; plain text without
    times is spread evenly over it. docs/narration.md lists the forms.

    Raises:
        InputError: not a narration in any known form, or the video is not in it.
    """
    key = Path(video).stem if video is not None else None
    if not isinstance(source, str):
        return tidy(parse_json(source, video=key, duration=duration), duration=duration)
    text = source.removeprefix("\ufeff")
    kind = format or guess_format(text, suffix)
    cues: list[Cue]
    if kind in ("srt", "vtt"):
        cues = parse_captions(text)
    elif kind == "json":
        cues = parse_json(_json(text, name), video=key, duration=duration)
    elif kind == "csv":
        cues = parse_csv(text, video=key, duration=duration)
    elif kind == "ass":
        cues = parse_substation(text)
    elif kind in ("ttml", "xml"):
        cues = parse_xml(text, name)
    elif kind == "sami":
        cues = parse_sami(text)
    elif kind in ("sbv", "lrc"):
        cues = parse_timed_text(text)
    elif kind in ("plain", "text"):
        cues = parse_plain(text, duration=duration, untimed=kind == "text")
    else:
        raise InputError(f"Unknown narration format {kind!r}; use one of {get_args(Format)}.")
    found = tidy(cues, duration=duration)
    if not found:
        raise InputError(
            f"{name} holds no cue with words in it (read as {kind}); check the file, or name its "
            f"format: {', '.join(get_args(Format))}."
        )
    return found


def read_text(path: Path) -> str:
    """The text of a narration file, whatever its encoding.

    Raises:
        InputError: there is no such file, it is too large, or no text.
    """
    if not path.is_file():
        raise InputError(f"There is no narration file {path}; check the path.")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path.name} has more than {_MAX_BYTES // 2**20} MiB; is it subtitles?")
    return decode(path.read_bytes(), path.name)


def guess_format(text: str, suffix: str = "") -> Format:
    """Content decides where it is plain to see; the name only settles the rest."""
    head = _COMMENTS.sub("", text.lstrip()[:4000])[:2000]
    if head.upper().startswith("WEBVTT"):
        return "vtt"
    if head.startswith(("<?xml", "<tt", "<transcript", "<timedtext", "<ANNOTATION_DOCUMENT")):
        return "xml"
    if re.match(r"<sami\b", head, re.IGNORECASE):
        return "sami"
    if head.startswith("[Script Info]") or re.search(r"^Dialogue: ", head, re.MULTILINE):
        return "ass"
    if captioned(text):
        return "srt"
    if _MICRODVD.match(head):
        return "plain"
    if head.startswith(("{", "[{", "[\n", "[ ")) and (
        suffix not in (".srt", ".vtt", ".txt") or _is_json(text)
    ):
        return "json"
    if suffix not in (".txt", "") or not is_table(text):
        known = _BY_SUFFIX.get(suffix)
        # A table by name that has none inside, as a transcript saved as .csv, is read as text.
        if known is not None and not (known == "csv" and not is_table(text) and has_times(text)):
            return known
    if is_table(text):
        return "csv"
    return "json" if head.startswith(("{", "[")) and not has_times(text) else "plain"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def cue_time(cue: Cue, at: At = "middle", offset: Seconds = 0) -> float:
    """The moment of a cue that is looked at, in seconds.

    Speech and action are only loosely aligned, so the middle is the default; ``offset`` moves it
    later (or earlier, but not before 0).

    >>> cue_time(Cue(2.0, 4.0, "cut the tomato")), cue_time(Cue(2.0, 4.0, "cut"), "end", 0.5)
    (3.0, 4.5)
    """
    places = {"start": cue.start, "middle": (cue.start + cue.end) / 2, "end": cue.end}
    if not math.isfinite(offset):
        raise InputError(f"The offset must be a number of seconds, got {offset}.")
    return max(0.0, places[at] + offset)


def candidate_times(cue: Cue, count: int, offset: Seconds = 0) -> list[float]:
    """Moments evenly spread inside a cue, for picking the best of them.

    >>> candidate_times(Cue(0.0, 4.0, "cut the tomato"), 2)
    [1.0, 3.0]
    """
    if count < 1:
        raise InputError(f"At least one frame must be looked at in a cue, got {count}.")
    length = cue.end - cue.start
    return [max(0.0, cue.start + (place + 0.5) / count * length + offset) for place in range(count)]


def _json(text: str, name: str) -> Any:
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


def best_times(
    cues: Sequence[Cue],
    candidates: Sequence[Sequence[Seconds]],
    score: Callable[[Sequence[float], Sequence[int]], Sequence[float]],
) -> list[float]:
    """For each cue the candidate time that scores highest; the earliest of equals.

    ``score`` gets all times in ascending order, each with the position of its cue, so that a video
    is decoded once.
    """
    pairs = sorted((time, place) for place, times in enumerate(candidates) for time in times)
    scores = score([time for time, _ in pairs], [place for _, place in pairs])
    best: dict[int, tuple[float, float]] = {}
    for (time, place), value in zip(pairs, scores, strict=True):
        if place not in best or value > best[place][0]:
            best[place] = (value, time)
    return [best[place][1] for place in range(len(cues))]


def shift(cues: Sequence[Cue], seconds: Seconds) -> list[Cue]:
    """Move all cues, as for subtitles that run late."""
    return [
        replace(cue, start=max(0.0, cue.start + seconds), end=max(0.0, cue.end + seconds))
        for cue in cues
    ]
