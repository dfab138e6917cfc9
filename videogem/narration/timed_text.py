"""Texts with times between or before the words: transcripts of players, recorders and consoles.

YouTube's transcript panel, Otter, Zoom, Teams, Whisper's console, LRC, SBV, ranges and timecodes
differ only in where a time stands: before words, alone on a line, or behind a speaker's name.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.clocks import (
    ARROW,
    CLOCK,
    FRAME_RATE,
    MINUTES_AND_SECONDS,
    SECONDS,
    SECONDS_AND_UNIT,
    seconds,
)
from videogem.narration.cues import Cue
from videogem.narration.spoken import NAME, start_with_names

_TIME = rf"(?:{CLOCK}|{MINUTES_AND_SECONDS}|{SECONDS_AND_UNIT}|{SECONDS})"
_FULL = r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d{1,6}|[:;]\d{2,3})?"  # plain enough to stand side by side
_TO = rf"(?:{ARROW}|\s*[-\u2013\u2014,|]\s*|\s+(?:to|until|till)\s+)"
_DASHES = r":|,\u2013\u2014-"
_OPEN = r"[\[(<]?\s*"
# Bullets, numbers, and the name a console or a recorder puts before a time in brackets.
_PREFIX = (
    r"\s*(?:[-*\u2022\u2013\u2014]\s+|\d{1,4}[.)]\s+|\d{1,4}:\s+(?=\d)"
    r"|[^\W\d][\w .'-]{0,39}:\s+(?=[\[(]\s*\d))?"
)
_RANGE = re.compile(
    rf"^{_PREFIX}{_OPEN}(?:({_TIME})(?:\s*[\])>])?{_TO}{_OPEN}({_TIME})|({_FULL})\s+({_FULL}))"
    rf"(?:\s*[\])>]\s*|(?=[\s{_DASHES}]|$))(?:\s*[{_DASHES}](?=\s|$))?\s*(.*)$"
)
_START = re.compile(
    rf"^{_PREFIX}(?:\[\s*({_TIME})\s*\]|\(\s*({_TIME})\s*\)|({CLOCK}|{MINUTES_AND_SECONDS})(?![\w.:]))"
    rf"\s*[{_DASHES}]?\s*(.*)$"
)
_AGAIN = re.compile(rf"\s*[\[(]\s*({CLOCK})\s*[\])]\s*")  # more times in one line
_SPELLING = r"\d+ (?:hour|minute|second)s?(?:,? \d+ (?:minute|second)s?){0,2}"
# '0:01cut' and '0:011 secondcut', as pages are copied.
_GLUED = re.compile(
    rf"^\s*((?:\d+:)?\d{{1,3}}:\d{{2}})(?:{_SPELLING})?(?=[^\W\d_])(?![ap]\.?m\b)(.*)$"
)
# 'Speaker 1  0:00', '[Ann Lee] 00:00:01', 'Ann Lee (00:01):', 'Ann Lee, 0:01'
_BEHIND = re.compile(
    rf"^\s*(\[[^\[\]]{{1,40}}\]\s*|{NAME}:? "
    rf"|[\w.'-]+(?: [\w.'-]+){{0,4}}\s*(?:\s{{2,}}|\t|[,|\u00b7-]\s*|(?=[\[(])))"
    rf"[\[(]?({CLOCK})[\])]?\s*:?\s*$"
)
_RANGE_BEHIND = re.compile(
    rf"^(?=.*[\])]\s*$)\s*(\w.*?)\s*[\[(]\s*({_TIME}){_TO}({_TIME})\s*[\])]\s*$"
)
_WHOLE_RANGE = re.compile(
    rf"^{_PREFIX}{_OPEN}(\d{{1,5}})\s?[-\u2013\u2014]\s?(\d{{1,5}})[\])]?:?\s+(\D.*)$"
)
_FRAMES = re.compile(r"^\s*\{(\d+)\}\{(\d+)\}(.*)$")  # MicroDVD
_TAG = re.compile(
    r"^\s*\[(ti|ar|al|au|by|re|ve|la|tool|length|offset|#)\s*:\s*(.*)\]\s*$", re.IGNORECASE
)
_SPELLED = re.compile(rf"^\s*{_SPELLING}\s*$")  # YouTube's, for readers
# Teams: '0 minutes 1 second0:01', then 'Ann Lee 0 minutes 1 second'.
_SPELLED_CLOCK = re.compile(rf"^\s*{_SPELLING}\s*({CLOCK})\s*$")
_NAME_SPELLED = re.compile(rf"^\s*(\S.{{0,60}}?)\s+{_SPELLING}\s*$")
# What programs print round what was said.
_NOT_SAID = re.compile(
    r"^\s*(?:(?:whisper|ggml|system)_\w+\s*:|main: |Detect(?:ed|ing) language\b"
    r"|Transcribed by (?:https?:|otter)|<(?:begin|end) subtitles>)",
    re.IGNORECASE,
)
_CHAT = re.compile(r"^From .{1,60}? to Everyone\s*:\s*", re.IGNORECASE)
_SHAPED = re.compile(
    rf"^{_PREFIX}[\[(<]?\s*(?:\d{{1,3}}:\d{{2}}|\d+[.,]\d+\s*(?:s\b|-|\]|to\b|[,;\t|]\s*\d))"
    rf"|{ARROW.strip()}|[\[(]\s*{_TIME}(?:{_TO}{_TIME})?\s*[\])]\s*$|^\s*\{{\d+\}}\{{\d+\}}"
    rf"|^{_PREFIX}{MINUTES_AND_SECONDS}|^\W*(?i:start|begin|time|t)\s*[:=]\s*\d"
    rf"|\S\s{{2,}}{CLOCK}\s*$"
)
_MENTIONED = re.compile(r"(?<![\d:])\d{1,3}:\d{2}(?!\d{3})|\d\s?m(?:in)?\s?\d+\s?s\b")
_MOST_TIMES = 200  # of one line of lyrics
_LONGEST = 300  # characters of a line with its time behind, which takes patterns that backtrack


@dataclass(frozen=True)
class _Piece:
    start: Seconds
    end: Seconds
    lines: tuple[str, ...] = ()


def has_times(text: str) -> bool:
    """Whether lines of a text give times in a way that is read here."""
    lines = text.splitlines()
    return any(map(_timed, lines)) or any(map(_behind, lines)) or bool(_whole_ranges(lines))


def parse_timed_text(text: str) -> list[Cue]:
    """Read cues; words on lines without a time belong to the time before them.

    Raises:
        InputError: a line looks as if it gave a time, but in no known way; or more is said before
            the first time than with times.
    """
    lines = [line for line in text.splitlines() if not _NOT_SAID.match(line)]
    whole = _whole_ranges(lines)
    if whole:
        return _cues(whole, 0.0)
    pieces, names, before, offset, rate = _read(lines)
    if len(before) >= max(2, len(pieces)) or (before and len(pieces) == 1 and not pieces[0].lines):
        raise InputError(
            f"The line {before[0][:80]!r} stands before the first time; write a time before each "
            "line, or say --format text if the times are part of what is said."
        )
    pieces = [replace(piece, lines=_words(piece.lines, names)) for piece in pieces]
    if rate is not None:
        pieces = [
            replace(piece, start=piece.start * FRAME_RATE / rate, end=piece.end * FRAME_RATE / rate)
            for piece in pieces
        ]
    return _cues(_without_speakers(pieces), offset)


def parse_plain(text: str, *, duration: Seconds | None, untimed: bool = False) -> list[Cue]:
    """Text with a time before, behind or above what is said, or one sentence a line without times.

    Without times the sentences are spread evenly over the video. ``untimed`` takes every line as
    it is.

    Raises:
        InputError: no times and no duration to spread the sentences over, or something that looks
            like a time and is not read as one.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not untimed:
        if has_times(text):
            return parse_timed_text(text)
        refuse_times(lines)
    if duration is None:
        raise InputError(
            "The narration is plain text without times; write a time before each line (1:23 cut "
            "the tomato), or give the video's duration to spread the lines over."
        )
    share = duration / max(1, len(lines))
    return [Cue(place * share, (place + 1) * share, line) for place, line in enumerate(lines)]


def _read(
    lines: Sequence[str],
) -> tuple[list[_Piece], set[str], list[str], Seconds, float | None]:
    """Pieces, speakers, what is said before the first time, LRC's offset, MicroDVD's frame rate."""
    behind = not any(map(_timed, lines))
    pieces: list[_Piece] = []
    names: set[str] = set()
    before: list[str] = []
    offset = 0.0
    rate = None
    for place, line in enumerate(lines):
        if tag := _TAG.match(line):
            if tag[1].lower() == "offset" and (told := seconds(tag[2])) is not None:
                offset = told / 1000  # milliseconds that words come earlier
            continue
        if (match := _FRAMES.match(line)) and match[1] == match[2] and seconds(match[3]):
            rate = seconds(match[3])
            continue
        if behind and (match := _behind(line)):
            names.add(match[1].strip(" \t:,[]|\u00b7-"))
            found = [_Piece(start, math.nan)] if (start := seconds(match[2])) is not None else []
        else:
            found = list(_pieces(line, _following(lines, place)))
        if found:
            pieces += found
        elif _SPELLED.match(line) and pieces and not pieces[-1].lines:
            continue
        elif pieces and (match := _NAME_SPELLED.match(line)) and not pieces[-1].lines:
            names.add(match[1])
        elif line.strip() and not pieces:
            if not behind:  # Otter and others put a date and keywords above
                _refuse_times(line, mentioned=True)
                before.append(line.strip())
        elif line.strip():
            _refuse_times(line)
            pieces[-1] = replace(pieces[-1], lines=(*pieces[-1].lines, line.strip()))
    return pieces, names, before, offset, rate


def refuse_times(lines: Sequence[str], *, mentioned: bool = True) -> None:
    """Raise InputError, quoting the line, where plain text holds what looks like a time.

    Times ``mentioned`` amid what is said, as in 'we eat at 12:30', count as well, or only those
    that stand where transcripts have them.
    """
    for line in lines:
        _refuse_times(line, mentioned=mentioned)


def _refuse_times(line: str, *, mentioned: bool = False) -> None:
    if _SHAPED.search(line[:_LONGEST]) or (mentioned and _MENTIONED.search(line)):
        raise InputError(
            f"The line {line.strip()[:80]!r} looks as if it gave a time, but not in a way that is "
            "known; write a time before each line (1:23 cut the tomato), or a range (0:01 - 0:04 "
            "cut the tomato), or say --format text if it is part of what is said."
        )


def _timed(line: str) -> bool:
    return _TAG.match(line) is None and next(_pieces(line), None) is not None


def _behind(line: str) -> re.Match[str] | None:
    return _BEHIND.match(line[:_LONGEST])


def _pieces(line: str, following: str = "") -> Iterator[_Piece]:
    """What a line with its time in front says; a line of lyrics may have several times."""
    if match := _FRAMES.match(line):
        span = int(match[1]) / FRAME_RATE, int(match[2]) / FRAME_RATE
        yield _Piece(*span, _said(match[3].replace("|", " ")))
        return
    if match := _RANGE.match(line):
        found = _span(match[1] or match[3], match[2] or match[4])
        if found is not None:
            yield _Piece(*found, _said(match[5]))
        return
    starts: list[float] = []
    rest = line
    while len(starts) < _MOST_TIMES and (match := _START.match(rest)):
        begin = seconds(match[1] or match[2] or match[3])
        if begin is None:
            break
        starts.append(begin)
        rest = match[4]
    if not starts and (match := _GLUED.match(line) or _SPELLED_CLOCK.match(line)):
        told = seconds(match[1])
        starts, rest = ([] if told is None else [told]), "".join(match.groups()[1:])
    if not starts and (match := _RANGE_BEHIND.match(line[:_LONGEST])):
        named = re.fullmatch(NAME, match[1]) and following and not _timed(following)
        if (found := _span(match[2], match[3])) is not None:
            yield _Piece(*found, () if named else _said(match[1]))
        return
    first, *others = _AGAIN.split(rest) if starts else [""]
    for start in starts:
        yield _Piece(start, math.nan, _said(first))
    for time, words in zip(others[::2], others[1::2], strict=True):
        if (later := seconds(time)) is not None:
            yield _Piece(later, math.nan, _said(words))


def _span(start: str, end: str) -> tuple[Seconds, Seconds] | None:
    begin, until = seconds(start), seconds(end)
    return None if begin is None or until is None else (begin, until)


def _said(words: str) -> tuple[str, ...]:
    return (words.strip(),) if words.strip() else ()


def _following(lines: Sequence[str], place: int) -> str:
    return lines[place + 1] if place + 1 < len(lines) else ""


def _whole_ranges(lines: Sequence[str]) -> list[_Piece]:
    """'1-3: cut' in every line, one after the other; alone it could be a number of things."""
    said = [line for line in lines if line.strip()]
    matches = [match for line in said if (match := _WHOLE_RANGE.match(line)) and ":" in line]
    spans = [(float(match[1]), float(match[2])) for match in matches]
    told = len(spans) == len(said) > 1 and all(start < end for start, end in spans)
    if not told or any(later[0] < earlier[0] for earlier, later in pairwise(spans)):
        return []
    return [_Piece(*span, (match[3],)) for span, match in zip(spans, matches, strict=True)]


def _words(lines: Sequence[str], names: set[str]) -> tuple[str, ...]:
    return tuple(_CHAT.sub("", line) for line in lines if line.rstrip(": ") not in names)


def _without_speakers(pieces: list[_Piece]) -> list[_Piece]:
    """Where every time is followed by a name and then by words, names are no words."""
    named = start_with_names([piece.lines for piece in pieces if piece.lines])
    return [replace(piece, lines=piece.lines[1:]) for piece in pieces] if named else pieces


def _cues(pieces: Sequence[_Piece], offset: float) -> list[Cue]:
    """A cue without an end lasts until the next time, also where nothing is said then."""
    starts = sorted({piece.start for piece in pieces})
    following = dict(pairwise(starts))
    return [
        Cue(
            max(0.0, piece.start - offset),
            (following.get(piece.start, math.nan) if math.isnan(piece.end) else piece.end) - offset,
            " ".join(piece.lines),
        )
        for piece in pieces
    ]
