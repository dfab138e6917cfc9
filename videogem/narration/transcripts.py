"""Transcripts and annotation files as JSON, CSV or plain text → cues."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.cues import Cue, Word, seconds

_TEXT_KEYS = ("text", "sentence", "caption", "narration", "transcript")
_START_KEYS = ("start", "begin", "start_time", "from")
_END_KEYS = ("end", "stop", "end_time", "to")
_KNOWN = (
    "[{start, end, text}], Whisper or WhisperX segments, whisper.cpp transcription, HowTo100M "
    "captions or YouCook2 annotations"
)
_STAMPED = re.compile(
    r"^\s*[\[(]?((?:\d+:)?\d{1,3}:\d{2}(?:[.,]\d+)?)[\])]?\s*[-:\u2013\u2014]?\s+(.+)$"
)


def parse_json(data: Any, *, video: str | None) -> list[Cue]:
    """Read any of the known JSON forms, told apart by their keys.

    Raises:
        InputError: none of them, or a file about many videos that lacks this one.
    """
    if isinstance(data, Mapping):
        if isinstance(data.get("segments"), list):  # Whisper, WhisperX
            return _items(data["segments"])
        if isinstance(data.get("transcription"), list):  # whisper.cpp
            return _items(data["transcription"])
        if isinstance(data.get("database"), Mapping):  # YouCook2, ActivityNet
            return parse_json(_pick(data["database"], video), video=video)
        if isinstance(data.get("annotations"), list):
            return _items(data["annotations"])
        if isinstance(data.get("text"), list):  # HowTo100M: columns
            return _columns(data)
        if _first(data, _TEXT_KEYS) is not None and _first(data, _START_KEYS) is not None:
            return _items([data])
        if data and all(isinstance(value, list | Mapping) for value in data.values()):
            return parse_json(_pick(data, video), video=video)
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _items(data)
    raise InputError(f"This JSON is no known narration; expected {_KNOWN}.")


def parse_csv(text: str, *, video: str | None) -> list[Cue]:
    """Read a table with start, end and text columns; a video_id column picks the rows.

    Tabs between columns mean Whisper's TSV, which counts milliseconds.

    Raises:
        InputError: a column is missing, or no row is about this video.
    """
    tabs = "\t" in text.partition("\n")[0]
    rows: list[dict[str, Any]] = list(
        csv.DictReader(io.StringIO(text), delimiter="\t" if tabs else ",")
    )
    columns = [column.strip() for column in (rows[0] if rows else {}) if column]
    if not rows or _first(rows[0], _START_KEYS) is None or _first(rows[0], _TEXT_KEYS) is None:
        raise InputError(
            f"The CSV needs columns start, end and text, got {', '.join(columns) or 'none'}."
        )
    if "video_id" in rows[0]:
        videos: dict[str, list[Any]] = {}
        for row in rows:
            videos.setdefault(row["video_id"], []).append(row)
        rows = _pick(videos, video)
    cues = _items(rows)
    if tabs:
        return [Cue(cue.start / 1000, cue.end / 1000, cue.text) for cue in cues]
    return cues


def parse_plain(text: str, *, duration: Seconds | None) -> list[Cue]:
    """One sentence a line, with a time before it ('1:23 cut the tomato') or, on no line, without.

    Without times the sentences are spread evenly over the video.

    Raises:
        InputError: no times and no duration to spread the sentences over.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    stamped = [_STAMPED.match(line) for line in lines]
    if any(stamped):
        return [
            Cue(seconds(match[1]) or 0.0, math.nan, match[2])
            for match in stamped
            if match is not None
        ]
    if duration is None:
        raise InputError(
            "The narration is plain text without times; write a time before each line (1:23 cut "
            "the tomato), or give the video's duration to spread the lines over."
        )
    share = duration / max(1, len(lines))
    return [Cue(place * share, (place + 1) * share, line) for place, line in enumerate(lines)]


def _items(items: Iterable[Any]) -> list[Cue]:
    cues = []
    for place, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise InputError(f"Cue {place} is {type(item).__name__}; expected {_KNOWN}.")
        start, end = _span(item, place)
        text = _first(item, _TEXT_KEYS)
        if text is None:
            raise InputError(f"Cue {place} has no text; expected one of the keys {_TEXT_KEYS}.")
        cues.append(Cue(start, end, str(text), _words(item.get("words"))))
    return cues


def _span(item: Mapping[str, Any], place: int) -> tuple[float, float]:
    segment = item.get("segment")  # YouCook2
    if isinstance(segment, list | tuple) and len(segment) == 2:
        raw_start, raw_end = segment
    elif isinstance(item.get("offsets"), Mapping):  # whisper.cpp: milliseconds
        raw = [seconds(item["offsets"].get(key)) for key in ("from", "to")]
        raw_start, raw_end = (None if one is None else one / 1000 for one in raw)
    elif isinstance(item.get("timestamps"), Mapping):
        raw_start, raw_end = (item["timestamps"].get(key) for key in ("from", "to"))
    else:
        raw_start, raw_end = _first(item, _START_KEYS), _first(item, _END_KEYS)
    start, end = seconds(raw_start), seconds(raw_end)
    if start is None:
        raise InputError(
            f"Cue {place} has no start time (got {raw_start!r}); give seconds or hh:mm:ss."
        )
    if end is None and (length := seconds(item.get("duration"))) is not None:
        end = start + length
    return start, math.nan if end is None else end


def _words(items: Any) -> tuple[Word, ...]:
    if not isinstance(items, list):
        return ()
    return tuple(
        Word(
            str(_first(item, ("word", "text")) or ""),
            seconds(item.get("start")),
            seconds(item.get("end")),
        )
        for item in items
        if isinstance(item, Mapping)
    )


def _columns(data: Mapping[str, Any]) -> list[Cue]:
    texts, starts, ends = (data.get(key) for key in ("text", "start", "end"))
    if not (isinstance(starts, list) and isinstance(ends, list)) or not (
        len(texts or []) == len(starts) == len(ends)
    ):
        raise InputError("HowTo100M captions need lists text, start and end of the same length.")
    return _items(
        {"text": text, "start": start, "end": end}
        for text, start, end in zip(texts or [], starts, ends, strict=True)
    )


def _pick(videos: Mapping[str, Any], video: str | None) -> Any:
    if video is not None and video in videos:
        return videos[video]
    if len(videos) == 1:
        return next(iter(videos.values()))
    names = ", ".join(sorted(map(str, videos))[:5])
    wanted = f"not {video!r}" if video is not None else "and none was named"
    raise InputError(
        f"The file is about {len(videos)} videos ({names}, …), {wanted}; name the video file as "
        "its key there."
    )


def _first(item: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)
