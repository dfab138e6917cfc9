"""Transcripts and annotation files as JSON, tables or plain text → cues."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.cues import Cue, Word, seconds
from videogem.narration.timed_text import has_times, parse_timed_text, read_clock, refuse_times

_TEXT_KEYS = (
    "text", "sentence", "caption", "narration", "transcript", "display", "label", "annotation",
    "content", "subtitle",
)  # fmt: skip
_START_KEYS = (
    "start", "begin", "start_time", "from", "starttime", "start time", "begin time", "time",
    "timestamp", "start_ms", "startms", "start (s)", "start_sec", "offset",
)  # fmt: skip
_END_KEYS = (
    "end", "stop", "end_time", "to", "endtime", "end time", "end_ms", "endms", "end (s)", "end_sec",
)  # fmt: skip
_MILLISECOND_KEYS = ("start_ms", "startms", "tstartms", "end_ms", "endms")
_KNOWN = (
    "[{start, end, text}], Whisper or WhisperX segments, whisper.cpp transcription, AssemblyAI, "
    "Deepgram, Azure, Vosk, YouTube's json3, HowTo100M captions or YouCook2 annotations"
)
_PAUSE = 0.8  # s without a word, after which another cue begins
_MOST_WORDS = 14
_SHORTEST_LONG = 300  # a cue of 300 s is unheard of, one of 300 ms is short
_TICKS = 1e7  # a second


def parse_json(data: Any, *, video: str | None, duration: Seconds | None = None) -> list[Cue]:
    """Read any of the known JSON forms, told apart by their keys.

    Raises:
        InputError: none of them, or a file about many videos that lacks this one.
    """
    service = _of_service(data)
    if service is not None:
        return service
    if isinstance(data, Mapping):
        if isinstance(data.get("segments"), list):  # Whisper, WhisperX
            return _items(data["segments"], duration=duration)
        if isinstance(data.get("transcription"), list):  # whisper.cpp
            return _items(data["transcription"])
        if isinstance(data.get("database"), Mapping):  # YouCook2, ActivityNet
            return parse_json(_pick(data["database"], video), video=video, duration=duration)
        if isinstance(data.get("annotations"), list):
            return _items(data["annotations"], duration=duration)
        if isinstance(data.get("text"), list):  # HowTo100M: columns
            return _columns(data)
        if _first(data, _TEXT_KEYS) is not None and _first(data, _START_KEYS) is not None:
            return _items([data])
        if data and all(isinstance(value, list | Mapping) for value in data.values()):
            return parse_json(_pick(data, video), video=video, duration=duration)
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _items(data, duration=duration)
    raise InputError(f"This JSON is no known narration; expected {_KNOWN}.")


def parse_csv(
    text: str, *, video: str | None, duration: Seconds | None = None, name: str = "The CSV"
) -> list[Cue]:
    """Read a table with start, end and text columns, in any order, named in any case, or unnamed.

    Columns are parted by commas, semicolons, tabs or bars; a video_id column picks the rows. Whole
    numbers are milliseconds where they would be absurd as seconds.

    Raises:
        InputError: a column is missing, or no row is about this video.
    """
    lines = _rows(text)
    delimiter = _delimiter(lines)
    table = [
        [cell.strip() for cell in row]
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=False)
        if any(cell.strip() for cell in row)
    ]
    header = [cell.lower().strip("\ufeff\"' ") for cell in table[0]] if table else []
    named = any(key in header for key in _START_KEYS) and any(key in header for key in _TEXT_KEYS)
    if named:
        rows = [dict(zip(header, row, strict=False)) for row in table[1:]]
    else:
        rows = [_unnamed(row) for row in table]
        if not rows or not all(rows):
            found = ", ".join(cell for cell in (table[0] if table else []) if cell) or "none"
            raise InputError(f"{name} needs columns start, end and text, got {found}.")
    if "video_id" in header:
        videos: dict[str, list[Any]] = {}
        for row in rows:
            videos.setdefault(row.get("video_id", ""), []).append(row)
        rows = _pick(videos, video)
    return _items(rows, duration=duration)


def is_table(text: str) -> bool:
    """Whether the first lines are columns of a table of cues."""
    lines = _rows(text)[:5]
    if not lines:
        return False
    delimiter = _delimiter(lines)
    if delimiter not in lines[0]:
        return False
    table = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    header = [cell.strip().lower().strip("\ufeff") for cell in table[0]]
    if any(key in header for key in _START_KEYS) and any(key in header for key in _TEXT_KEYS):
        return True
    return all(_unnamed([cell.strip() for cell in row]) for row in table)


def _rows(text: str) -> list[str]:
    """Lines of a table, without the frequencies that Audacity puts below a label."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("\\\t")]


def _delimiter(lines: Sequence[str]) -> str:
    """What parts most columns in every line."""
    shown = lines[:20]
    return max("\t;|,", key=lambda one: min((line.count(one) for line in shown), default=0) > 0)


def _unnamed(row: Sequence[str]) -> dict[str, Any]:
    """A row without a header: two times and, somewhere after them, the words."""
    times = [(place, cell) for place, cell in enumerate(row) if _time(cell) is not None]
    words = [cell for cell in row if any(character.isalpha() for character in cell)]
    words = [cell for cell in words if _time(cell) is None]
    if len(times) < 2 or not words:
        return {}
    # ELAN puts the tier first; what is said comes after the times, and is the longest.
    after = [cell for cell in row[times[1][0] + 1 :] if cell in words]
    said = after[-1] if len(after) == 1 or "\t" in row else ", ".join(after)
    return {"start": times[0][1], "end": times[1][1], "text": said or words[0]}


def parse_plain(text: str, *, duration: Seconds | None, untimed: bool = False) -> list[Cue]:
    """Text with a time before, behind or above what is said, or one sentence a line without times.

    Without times the sentences are spread evenly over the video. ``untimed`` takes every line as
    it is.

    Raises:
        InputError: no times and no duration to spread the sentences over, or something that looks
            like a time and is not read as one.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if has_times(text):
        return parse_timed_text(text)
    if not untimed:
        refuse_times(lines)
    if duration is None:
        raise InputError(
            "The narration is plain text without times; write a time before each line (1:23 cut "
            "the tomato), or give the video's duration to spread the lines over."
        )
    share = duration / max(1, len(lines))
    return [Cue(place * share, (place + 1) * share, line) for place, line in enumerate(lines)]


def _items(
    items: Iterable[Any], *, duration: Seconds | None = None, milliseconds: bool = False
) -> list[Cue]:
    cues, whole = [], True
    for place, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise InputError(f"Cue {place} is {type(item).__name__}; expected {_KNOWN}.")
        item = {
            str(key).strip().lower() if isinstance(key, str) else key: value
            for key, value in item.items()
        }
        start, end = _span(item, place)
        text = _first(item, _TEXT_KEYS)
        if text is None:
            raise InputError(f"Cue {place} has no text; expected one of the keys {_TEXT_KEYS}.")
        cues.append(Cue(start, end, str(text), _words(item.get("words"))))
        whole = whole and _is_whole(_first(item, _START_KEYS)) and "offsets" not in item
        milliseconds = milliseconds or any(key in item for key in _MILLISECOND_KEYS)
    if milliseconds or (whole and _absurd_as_seconds(cues, duration)):
        return [_in_milliseconds(cue) for cue in cues]
    return cues


def _is_whole(value: Any) -> bool:
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


def _span(item: Mapping[str, Any], place: int) -> tuple[float, float]:
    segment = item.get("segment")  # YouCook2
    raw_start: Any
    raw_end: Any
    if isinstance(segment, list | tuple) and len(segment) == 2:
        raw_start, raw_end = segment
    elif isinstance(item.get("offsets"), Mapping):  # whisper.cpp: milliseconds
        raw = [seconds(item["offsets"].get(key)) for key in ("from", "to")]
        raw_start, raw_end = (None if one is None else one / 1000 for one in raw)
    elif isinstance(item.get("timestamps"), Mapping):
        raw_start, raw_end = (item["timestamps"].get(key) for key in ("from", "to"))
    else:
        raw_start, raw_end = _first(item, _START_KEYS), _first(item, _END_KEYS)
    start, end = _time(raw_start), _time(raw_end)
    if start is None:
        raise InputError(
            f"Cue {place} has no start time (got {raw_start!r}); give seconds or hh:mm:ss."
        )
    if end is None and (length := _time(item.get("duration"))) is not None:
        end = start + length
    return start, math.nan if end is None else end


def _time(value: Any) -> float | None:
    return read_clock(value) if isinstance(value, str) else seconds(value)


def _of_service(data: Any) -> list[Cue] | None:
    """Cues of a speech service's answer; None where it is none that is known."""
    documents = data if isinstance(data, list) else [data]
    if not documents or not all(isinstance(one, Mapping) for one in documents):
        return None
    for read in (_json3, _deepgram, _azure, _vosk, _assemblyai):
        found = [cues for one in documents if (cues := read(one)) is not None]
        if found and len(found) >= len([one for one in documents if one.get("text") != ""]):
            return [cue for cues in found for cue in cues]
    return None


def _json3(data: Mapping[str, Any]) -> list[Cue] | None:
    """YouTube's json3: events in milliseconds, with segments of words."""
    events = data.get("events")
    if not isinstance(events, list):
        return None
    cues = []
    for event in _mappings(events):
        start, length = seconds(event.get("tStartMs")), seconds(event.get("dDurationMs"))
        parts = _mappings(event.get("segs"))
        text = "".join(str(part.get("utf8", "")) for part in parts)
        if start is None or not text.strip():
            continue
        end = math.nan if length is None else (start + length) / 1000
        words = tuple(
            Word(
                str(part.get("utf8", "")), (start + (seconds(part.get("tOffsetMs")) or 0.0)) / 1000
            )
            for part in parts
        )
        cues.append(Cue(start / 1000, end, text, words))
    return cues


def _deepgram(data: Mapping[str, Any]) -> list[Cue] | None:
    results = data.get("results")
    if not isinstance(results, Mapping):
        return None
    if utterances := _mappings(results.get("utterances")):
        return _items(utterances)
    for channel in _mappings(results.get("channels")):
        for alternative in _mappings(channel.get("alternatives")):
            paragraphs = alternative.get("paragraphs")
            if isinstance(paragraphs, Mapping):
                sentences = [
                    sentence
                    for paragraph in _mappings(paragraphs.get("paragraphs"))
                    for sentence in _mappings(paragraph.get("sentences"))
                ]
                if sentences:
                    return _items(sentences)
            if words := _mappings(alternative.get("words")):
                return _grouped(words)
    return None


def _azure(data: Mapping[str, Any]) -> list[Cue] | None:
    """Azure's batch transcription (ticks of 100 ns) and fast transcription (milliseconds)."""
    phrases = _mappings(data.get("recognizedPhrases")) or _mappings(data.get("phrases"))
    if not phrases:
        return None
    cues = []
    for phrase in phrases:
        start, length, unit = phrase.get("offsetInTicks"), phrase.get("durationInTicks"), _TICKS
        if start is None:
            start, length, unit = (
                phrase.get("offsetMilliseconds"),
                phrase.get("durationMilliseconds"),
                1000.0,
            )
        begin, duration = seconds(start), seconds(length)
        best = _mappings(phrase.get("nBest"))
        text = best[0].get("display", "") if best else phrase.get("text", "")
        if begin is None:
            return None
        end = math.nan if duration is None else (begin + duration) / unit
        cues.append(Cue(begin / unit, end, str(text)))
    return cues


def _vosk(data: Mapping[str, Any]) -> list[Cue] | None:
    words = _mappings(data.get("result"))
    return _grouped(words) if words and "word" in words[0] else None


def _assemblyai(data: Mapping[str, Any]) -> list[Cue] | None:
    """AssemblyAI counts milliseconds; OpenAI's words without segments are in seconds."""
    for key in ("utterances", "sentences"):
        items = _mappings(data.get(key))
        if items and _first(items[0], _TEXT_KEYS) is not None:
            return _items(items, milliseconds=_all_whole(items))
    words = _mappings(data.get("words"))
    if not words or isinstance(data.get("segments"), list) or _first(data, _START_KEYS) is not None:
        return None
    return _grouped(words, milliseconds=_all_whole(words))


def _all_whole(items: Sequence[Mapping[str, Any]]) -> bool:
    return all(_is_whole(item.get("start")) and _is_whole(item.get("end")) for item in items)


def _grouped(words: Sequence[Mapping[str, Any]], *, milliseconds: bool = False) -> list[Cue]:
    """Words with times → cues, which end with a sentence, a pause, or when they grow long."""
    unit = 1000.0 if milliseconds else 1.0
    cues: list[Cue] = []
    now: list[Word] = []
    for item in words:
        start, end = seconds(item.get("start")), seconds(item.get("end"))
        text = str(_first(item, ("punctuated_word", "word", "text")) or "").strip()
        if not text:
            continue
        word = Word(
            text, None if start is None else start / unit, None if end is None else end / unit
        )
        last = now[-1] if now else None
        paused = (
            last is not None
            and word.start is not None
            and last.end is not None
            and word.start - last.end > _PAUSE
        )
        if last is not None and (paused or len(now) >= _MOST_WORDS or last.text[-1] in ".!?"):
            cues += _of_words(now)
            now = []
        now.append(word)
    return cues + _of_words(now)


def _of_words(words: Sequence[Word]) -> list[Cue]:
    starts = [word.start for word in words if word.start is not None]
    ends = [word.end for word in words if word.end is not None]
    if not starts:
        return []
    text = " ".join(word.text for word in words)
    return [Cue(starts[0], ends[-1] if ends else math.nan, text, tuple(words))]


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, Mapping)]


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
    return next((item[key] for key in keys if item.get(key) not in (None, "")), None)
