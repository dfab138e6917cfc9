"""Mappings with a start, an end and a text, however these are called → cues."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.clocks import seconds
from videogem.narration.cues import Cue, Word

# Names as `plain_key` makes them.
TEXT_KEYS = (
    "text", "sentence", "caption", "narration", "transcript", "display", "displaytext", "label",
    "annotation", "content", "subtitle", "dialogue", "dialog", "utterance", "speech", "phrase",
    "transcription", "line", "description", "words",
)  # fmt: skip
START_KEYS = (
    "start", "begin", "starttime", "begintime", "from", "timein", "in", "onset", "startsec",
    "startseconds", "startms", "starttimecode", "tcin", "time", "timestamp", "timecode", "offset",
)  # fmt: skip
END_KEYS = (
    "end", "stop", "endtime", "stoptime", "to", "timeout", "out", "endsec", "endseconds", "endms",
    "endtimecode", "tcout",
)  # fmt: skip
LENGTH_KEYS = ("duration", "dur", "length")
KNOWN = (
    "[{start, end, text}], Whisper or WhisperX segments, whisper.cpp transcription, AssemblyAI, "
    "Deepgram, Azure, Vosk, YouTube's json3, HowTo100M captions or YouCook2 annotations"
)
_UNIT = re.compile(
    r"\s*(?:[(\[]\s*([^()\[\]]*?)\s*[)\]]|\s-\s+([\w:.]+)|\bin ((?:milli)?seconds|ms|s))\s*$",
    re.IGNORECASE,
)
_IN_MILLISECONDS = re.compile(r"(?:^|[\s_])(?:ms|msec|milliseconds)$|[a-z](?:Ms|ms)$")
_SHORTEST_LONG = 300  # a cue of 300 s is unheard of, one of 300 ms is short


def plain_key(name: str) -> str:
    """A name without case, blanks, marks and unit.

    >>> plain_key("Start_Time (s)"), plain_key("Begin Time - ss.msec"), plain_key("EndTime")
    ('starttime', 'begintime', 'endtime')
    """
    return re.sub(r"[\W_]+", "", _UNIT.sub("", name)).lower()


def says_milliseconds(name: str) -> bool:
    """Whether the name of a time says its unit; ELAN's 'ss.msec' are seconds.

    >>> [says_milliseconds(name) for name in ("start (ms)", "endMs", "items", "Begin - ss.msec")]
    [True, True, False, False]
    """
    unit = _UNIT.search(name)
    if plain_key(name) not in (*START_KEYS, *END_KEYS, *LENGTH_KEYS):
        return False
    told = next((part for part in unit.groups() if part), "") if unit else name
    return _IN_MILLISECONDS.search(told.strip()) is not None


def cues_of(
    items: Iterable[Any], *, duration: Seconds | None = None, milliseconds: bool = False
) -> list[Cue]:
    """Read cues; whole numbers are milliseconds where they would be absurd as seconds.

    Raises:
        InputError: one has no text or no start.
    """
    cues, whole = [], True
    for place, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise InputError(f"Cue {place} is {type(item).__name__}; expected {KNOWN}.")
        milliseconds = milliseconds or any(map(says_milliseconds, map(str, item)))
        item = {plain_key(str(key)): value for key, value in item.items()}
        start, end = _span(item, place)
        text = next((item[key] for key in TEXT_KEYS if isinstance(item.get(key), str)), None)
        if text is None:
            raise InputError(
                f"Cue {place} has no text; expected one of the keys {', '.join(TEXT_KEYS)}."
            )
        cues.append(Cue(start, end, str(text), _words(item.get("words"))))
        whole = whole and is_whole(first_of(item, START_KEYS)) and "offsets" not in item
    if milliseconds or (whole and _absurd_as_seconds(cues, duration)):
        return [_in_milliseconds(cue) for cue in cues]
    return cues


def is_whole(value: Any) -> bool:
    """Whether a time has no fraction, so that it may count milliseconds."""
    if isinstance(value, str):
        return value.strip().isdecimal()
    return isinstance(value, int) and not isinstance(value, bool)


def _absurd_as_seconds(cues: Sequence[Cue], duration: Seconds | None) -> bool:
    """Whether whole numbers are milliseconds: cues of minutes, or far after the video's end."""
    if not cues:
        return False
    lengths = [cue.end - cue.start for cue in cues if not math.isnan(cue.end)]
    lengths = lengths or [b.start - a.start for a, b in pairwise(cues)]
    usual = median(lengths) if lengths else 0.0
    if usual >= _SHORTEST_LONG:
        return duration is None or max(cue.start for cue in cues) > duration
    outside = duration is not None and max(cue.start for cue in cues) > 1.1 * duration + 5
    return outside and usual >= 100


def _in_milliseconds(cue: Cue) -> Cue:
    words = tuple(
        Word(
            word.text,
            None if word.start is None else word.start / 1000,
            None if word.end is None else word.end / 1000,
        )
        for word in cue.words
    )
    return Cue(cue.start / 1000, cue.end / 1000, cue.text, words)


def _is_pair(value: Any) -> bool:
    """Start and end in one, as YouCook2 and the transformers library have them."""
    return isinstance(value, list | tuple) and len(value) == 2


def _span(item: Mapping[str, Any], place: int) -> tuple[float, float]:
    raw_start: Any
    raw_end: Any
    pair = next(
        (item[key] for key in ("segment", "timestamp", "time", "span") if _is_pair(item.get(key))),
        None,
    )
    if pair is not None:
        raw_start, raw_end = pair
    elif isinstance(item.get("offsets"), Mapping):  # whisper.cpp: milliseconds
        raw = [seconds(item["offsets"].get(key)) for key in ("from", "to")]
        raw_start, raw_end = (None if one is None else one / 1000 for one in raw)
    elif isinstance(item.get("timestamps"), Mapping):
        raw_start, raw_end = (item["timestamps"].get(key) for key in ("from", "to"))
    else:
        raw_start, raw_end = first_of(item, START_KEYS), first_of(item, END_KEYS)
    start, end = seconds(raw_start), seconds(raw_end)
    if start is None:
        raise InputError(
            f"Cue {place} has no start time (got {raw_start!r}); give seconds or hh:mm:ss."
        )
    if end is None and (length := seconds(first_of(item, LENGTH_KEYS))) is not None:
        end = start + length
    return start, math.nan if end is None else end


def _words(items: Any) -> tuple[Word, ...]:
    if not isinstance(items, list):
        return ()
    return tuple(
        Word(
            str(first_of(item, ("word", "text")) or ""),
            seconds(item.get("start")),
            seconds(item.get("end")),
        )
        for item in items
        if isinstance(item, Mapping)
    )


def pick_video(videos: Mapping[str, Any], video: str | None) -> Any:
    """What a file about many videos says of one.

    Raises:
        InputError: it is not among them, or none was named.
    """
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


def first_of(item: Mapping[str, Any], keys: Iterable[str]) -> Any:
    """The first value that is given."""
    return next((item[key] for key in keys if item.get(key) not in (None, "")), None)
