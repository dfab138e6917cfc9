"""Transcripts and annotation files as JSON → cues."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.clocks import seconds
from videogem.narration.cues import Cue, Word
from videogem.narration.items import (
    KNOWN,
    START_KEYS,
    TEXT_KEYS,
    cues_of,
    first_of,
    is_whole,
    pick_video,
    plain_key,
)

_PAUSE = 0.8  # s without a word, after which another cue begins
_MOST_WORDS = 14
_TICKS = 1e7  # a second
_ISO_TIME = re.compile(r"PT(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?")


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
            return cues_of(data["segments"], duration=duration)
        if isinstance(data.get("transcription"), list):  # whisper.cpp
            return cues_of(data["transcription"])
        if isinstance(data.get("database"), Mapping):  # YouCook2, ActivityNet
            return parse_json(pick_video(data["database"], video), video=video, duration=duration)
        for key in ("annotations", "chunks"):  # chunks: the transformers library
            if isinstance(data.get(key), list):
                return cues_of(data[key], duration=duration)
        if isinstance(data.get("text"), list):  # HowTo100M: columns
            return _columns(data)
        if first_of(data, TEXT_KEYS) is not None and first_of(data, START_KEYS) is not None:
            return cues_of([data])
        if data and all(isinstance(value, list | Mapping) for value in data.values()):
            return parse_json(pick_video(data, video), video=video, duration=duration)
        lists = [value for value in data.values() if _are_cues(value)]
        if len(lists) == 1:  # under whatever name, beside other things
            return cues_of(lists[0], duration=duration)
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return cues_of(data, duration=duration)
    raise InputError(f"This JSON is no known narration; expected {KNOWN}.")


def _are_cues(value: Any) -> bool:
    items = _mappings(value)
    return bool(items) and all(
        {plain_key(str(key)) for key in item} & {*START_KEYS}
        and any(isinstance(item.get(key), str) for key in TEXT_KEYS)
        for item in items
    )


def _of_service(data: Any) -> list[Cue] | None:
    """Cues of a speech service's answer; None where it is none that is known."""
    documents = data if isinstance(data, list) else [data]
    if not documents or not all(isinstance(one, Mapping) for one in documents):
        return None
    for read in (_json3, _deepgram, _azure, _amazon, _google, _vosk, _assemblyai):
        found = [cues for one in documents if (cues := read(one)) is not None]
        if found and len(found) >= len([one for one in documents if not _silent(one)]):
            return [cue for cues in found for cue in cues]
    return None


def _silent(document: Mapping[str, Any]) -> bool:
    """Vosk says where nothing was said, or not yet."""
    return document.get("text") == "" or "partial" in document


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
        return cues_of(utterances)
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
                    return cues_of(sentences)
            if words := _mappings(alternative.get("words")):
                return _grouped(words)
    return None


def _azure(data: Mapping[str, Any]) -> list[Cue] | None:
    """Azure's batch transcription (ticks of 100 ns), fast transcription (milliseconds) and live
    results, a phrase each."""
    phrases = _mappings(data.get("recognizedPhrases")) or _mappings(data.get("phrases"))
    if not phrases and "DisplayText" in data:
        phrases = [data]
    if not phrases:
        return None
    cues = []
    for phrase in phrases:
        start, length = (_azure_time(phrase, name) for name in ("offset", "duration"))
        best = _mappings(phrase.get("nBest"))
        text = best[0].get("display", "") if best else phrase.get("text", phrase.get("DisplayText"))
        if start is None:
            return None
        cues.append(Cue(start, math.nan if length is None else start + length, str(text or "")))
    return cues


def _azure_time(phrase: Mapping[str, Any], name: str) -> float | None:
    for key, unit in (
        (f"{name}InTicks", _TICKS), (f"{name}Milliseconds", 1000.0), (name.title(), _TICKS)
    ):  # fmt: skip
        if (found := seconds(phrase.get(key))) is not None:
            return found / unit
    match = _ISO_TIME.fullmatch(str(phrase.get(name, "")))
    if match is None:
        return None
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + rest


def _amazon(data: Mapping[str, Any]) -> list[Cue] | None:
    results = data.get("results")
    items = _mappings(results.get("items")) if isinstance(results, Mapping) else []
    words = [
        {
            "word": (_mappings(item.get("alternatives")) or [{}])[0].get("content"),
            "start": item.get("start_time"),
            "end": item.get("end_time"),
        }
        for item in items
    ]
    return _grouped(words) if words else None


def _google(data: Mapping[str, Any]) -> list[Cue] | None:
    words = [
        {"word": word.get("word"), "start": word.get("startTime", "0s"), "end": word.get("endTime")}
        for result in _mappings(data.get("results"))
        for alternative in _mappings(result.get("alternatives"))[:1]
        for word in _mappings(alternative.get("words"))
    ]
    return _grouped(words) if words else None


def _vosk(data: Mapping[str, Any]) -> list[Cue] | None:
    words = _mappings(data.get("result"))
    return _grouped(words) if words and "word" in words[0] else None


def _assemblyai(data: Mapping[str, Any]) -> list[Cue] | None:
    """AssemblyAI counts milliseconds; OpenAI's words without segments are in seconds."""
    for key in ("utterances", "sentences"):
        items = _mappings(data.get(key))
        if items and first_of(items[0], TEXT_KEYS) is not None:
            return cues_of(items, milliseconds=_all_whole(items))
    words = _mappings(data.get("words"))
    if (
        not words
        or isinstance(data.get("segments"), list)
        or first_of(data, START_KEYS) is not None
    ):
        return None
    return _grouped(words, milliseconds=_all_whole(words))


def _all_whole(items: Sequence[Mapping[str, Any]]) -> bool:
    return all(is_whole(item.get("start")) and is_whole(item.get("end")) for item in items)


def _grouped(words: Sequence[Mapping[str, Any]], *, milliseconds: bool = False) -> list[Cue]:
    """Words with times → cues, which end with a sentence, a pause, or when they grow long."""
    unit = 1000.0 if milliseconds else 1.0
    cues: list[Cue] = []
    now: list[Word] = []
    for item in words:
        start, end = seconds(item.get("start")), seconds(item.get("end"))
        text = str(first_of(item, ("punctuated_word", "word", "text")) or "").strip()
        if not text:
            continue
        word = Word(
            text, None if start is None else start / unit, None if end is None else end / unit
        )
        last = now[-1] if now else None
        if last is not None and word.start is None and not any(map(str.isalnum, text)):
            now[-1] = Word(last.text + text, last.start, last.end)  # a full stop by itself
            continue
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


def _columns(data: Mapping[str, Any]) -> list[Cue]:
    texts, starts, ends = (data.get(key) for key in ("text", "start", "end"))
    if not (isinstance(starts, list) and isinstance(ends, list)) or not (
        len(texts or []) == len(starts) == len(ends)
    ):
        raise InputError("HowTo100M captions need lists text, start and end of the same length.")
    return cues_of(
        {"text": text, "start": start, "end": end}
        for text, start, end in zip(texts or [], starts, ends, strict=True)
    )
