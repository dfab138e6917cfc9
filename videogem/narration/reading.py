"""What was said and when: subtitles, transcripts and annotation files → cues; a cue → a time."""

import codecs
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.captions import parse_captions
from videogem.narration.cues import Cue, Word, tidy
from videogem.narration.transcripts import parse_csv, parse_json, parse_plain

__all__ = ["At", "Cue", "Format", "Word", "candidate_times", "cue_time", "read_cues"]

Format = Literal["srt", "vtt", "json", "csv", "plain", "ass", "ttml"]
At = Literal["start", "middle", "end"]

_BY_SUFFIX: dict[str, Format] = {
    ".srt": "srt",
    ".vtt": "vtt",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "plain",
    ".ass": "ass",
    ".ssa": "ass",
    ".ttml": "ttml",
    ".dfxp": "ttml",
}
# The longer marks first: that of UTF-32 begins like that of UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MAX_BYTES = 64 * 2**20


def read_cues(
    source: str | Path | Sequence[Any] | Mapping[str, Any],
    format: Format | None = None,
    *,
    video: str | None = None,
    duration: Seconds | None = None,
) -> list[Cue]:
    """Read the cues of one video, sorted by start.

    ``source`` is a file, the text of one, or task data (``[{"start", "end", "text"}]``). Files:
    SRT, WebVTT (also YouTube's rolling captions), ASS, TTML, JSON of Whisper, whisper.cpp,
    WhisperX, HowTo100M or YouCook2, CSV with start, end and text columns, and plain text with one
    sentence a line. ``format`` overrides what name and content suggest. ``video`` is the key (or
    file name) of the video in files about many. ``duration`` limits cues without an end; plain
    text without times is spread evenly over it.

    Raises:
        InputError: not a narration in any known form, or the video is not in the file.
    """
    if not isinstance(source, str | Path):
        return tidy(parse_json(source, video=video), duration=duration)
    text, name, suffix = _load(source)
    key = Path(video).stem if video is not None else None
    kind = format or _guess(text, suffix)
    if kind in ("srt", "vtt"):
        cues = parse_captions(text)
    elif kind == "json":
        cues = parse_json(_json(text, name), video=key)
    elif kind == "csv":
        cues = parse_csv(text, video=key)
    elif kind in ("ass", "ttml"):
        cues = _other_subtitles(text, kind, name)
    elif kind == "plain":
        cues = parse_plain(text, duration=duration)
    else:
        raise InputError(f"Unknown narration format {kind!r}; use one of {get_args(Format)}.")
    found = tidy(cues, duration=duration)
    if not found:
        raise InputError(
            f"{name} holds no cue with words in it (read as {kind}); check the file, or name its "
            f"format: {', '.join(get_args(Format))}."
        )
    return found


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


def _load(source: str | Path) -> tuple[str, str, str]:
    """Text, name for messages, and suffix of a path or of literal text."""
    if isinstance(source, str) and _is_text(source):
        return source.removeprefix("\ufeff"), "The text", ""
    path = Path(source)
    if not path.is_file():
        raise InputError(f"There is no narration file {path}; check the path.")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path.name} has more than {_MAX_BYTES // 2**20} MiB; is it subtitles?")
    return _decode(path.read_bytes(), path.name), path.name, path.suffix.lower()


def _is_text(source: str) -> bool:
    if "\n" in source or source.lstrip("\ufeff \t").startswith(("{", "[", "WEBVTT")):
        return True
    return " " in source.strip() and not Path(source).is_file()


def _decode(data: bytes, name: str) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")  # what old subtitle editors on Windows write
    if "\0" in text:
        raise InputError(f"{name} is not a text file; give subtitles or a transcript.")
    return text


def _guess(text: str, suffix: str) -> Format:
    """Content decides where it is plain to see; the name only settles the rest."""
    head = text.lstrip()[:2000]
    if head.startswith("WEBVTT"):
        return "vtt"
    if head.startswith(("{", "[{", "[\n", "[ ")) and suffix not in (".srt", ".vtt", ".txt"):
        return "json"
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if head.startswith("[Script Info]"):
        return "ass"
    if "-->" in text:
        return "srt"
    if head.startswith(("{", "[")):
        return "json"
    return "plain"


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise InputError(f"{name} is not valid JSON ({reason}); export it again.") from None


def _other_subtitles(text: str, kind: str, name: str) -> list[Cue]:
    import pysubs2  # only needed for rare formats

    try:
        subtitles = pysubs2.SSAFile.from_string(text, format_=kind)
    except (pysubs2.exceptions.Pysubs2Error, ValueError, SyntaxError) as error:
        raise InputError(f"{name} cannot be read as {kind} subtitles ({error}).") from None
    return [
        Cue(event.start / 1000, event.end / 1000, event.plaintext)
        for event in subtitles
        if not event.is_comment
    ]


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
