"""Texts with times between or before the words: transcripts of players, recorders and consoles.

YouTube's transcript panel, Otter, Zoom, Teams, Whisper's console, LRC, SBV, ranges and timecodes
differ only in where a time stands: before words, alone on a line, or behind a speaker's name.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.cues import Cue, seconds

FRAME_RATE = 25.0  # of timecodes that do not say theirs
_CLOCK = r"(?:\d{1,3}:)?\d{1,3}:\d{1,2}(?:[.,]\d{1,6}|[:;]\d{2})?"
_SECONDS = r"\d{1,6}[.,]\d{1,6}\s?s?|\d{1,6}\s?s"
_TIME = rf"(?:{_CLOCK}|{_SECONDS})"
_TO = r"\s*(?:-{1,2}>|\u2192|-|\u2013|\u2014|to|,)\s*"
_OPEN, _CLOSE = r"[\[(<]?\s*", r"\s*[\])>]?"
_RANGE = re.compile(
    rf"^\s*{_OPEN}({_TIME}){_CLOSE}{_TO}{_OPEN}({_TIME}){_CLOSE}(?:\s*[-:|\u2013\u2014])?(?:\s+(.*))?$"
)
_START = re.compile(
    rf"^\s*(?:\[\s*({_TIME})\s*\]|\(\s*({_TIME})\s*\)|({_CLOCK})(?![\w.:]))\s*[-:|\u2013\u2014]?\s*(.*)$"
)
_GLUED = re.compile(rf"^\s*({_CLOCK})(?=[A-Z])(.*)$")
# 'Speaker 1  0:00', '[Ann Lee] 00:00:01', 'Ann Lee (00:01)', 'Ann Lee, 0:01'
_NAME = r"(?:[A-Z][\w.'-]*|\d+)(?: (?:[A-Z][\w.'-]*|\d+)){0,3}"
_BEHIND = re.compile(
    rf"^\s*(?:\[[^\[\]]{{1,40}}\]\s*|{_NAME}:? "
    rf"|[\w.'-]+(?: [\w.'-]+){{0,4}}\s*(?:\s{{2,}}|\t|[,|\u00b7-]\s*|(?=[\[(])))"
    rf"[\[(]?({_CLOCK})[\])]?\s*$"
)
_TAG = re.compile(
    r"^\s*\[(ti|ar|al|au|by|re|ve|la|tool|length|offset|#)\s*:\s*(.*)\]\s*$", re.IGNORECASE
)
_SPELLED = re.compile(r"^\s*(?:\d+ (?:hour|minute|second)s?(?:, )?)+\s*$")  # YouTube's, for readers
LOOKS_LIKE_TIME = re.compile(
    r"(?<![\d:])\d{1,3}:\d{2}(?![\d]{3})|-->|^\s*\[?\d+[.,]\d+\s*(?:s\b|-|\])"
)


@dataclass
class _Piece:
    start: Seconds
    end: Seconds
    lines: list[str]


def read_clock(text: str) -> float | None:
    """Seconds of a clock, a timecode with frames, or seconds with an s.

    >>> read_clock("00:00:01:15"), read_clock("0:02"), read_clock("1.5s")
    (1.6, 2.0, 1.5)
    """
    text = text.strip().removesuffix("s").strip()
    parts = re.split(r"[:;]", text)
    if len(parts) == 4:
        hours, minutes, rest, frames = map(int, parts)
        return hours * 3600 + minutes * 60 + rest + frames / FRAME_RATE
    return seconds(text)


def has_times(text: str) -> bool:
    """Whether lines of a text give times in a way that is read here."""
    lines = text.splitlines()
    return any(_timed(line) for line in lines) or any(_BEHIND.match(line) for line in lines)


def parse_timed_text(text: str) -> list[Cue]:
    """Read cues; words on lines without a time belong to the time before them.

    Raises:
        InputError: a line looks as if it gave a time, but in no known way.
    """
    lines = text.splitlines()
    behind = not any(_timed(line) for line in lines)
    pieces: list[_Piece] = []
    offset = 0.0
    for line in lines:
        if tag := _TAG.match(line):
            if tag[1].lower() == "offset" and (told := seconds(tag[2])) is not None:
                offset = told / 1000  # LRC: milliseconds that words come earlier
            continue
        found = [_behind(line)] if behind and _BEHIND.match(line) else list(_pieces(line))
        if found and found[0] is not None:
            pieces += [piece for piece in found if piece is not None]
        elif _SPELLED.match(line) and pieces and not pieces[-1].lines:
            continue
        elif line.strip():
            if not pieces or _seems_timed(line):
                _refuse_times(line)
            if pieces:
                pieces[-1].lines.append(line.strip())
    return _cues(pieces, offset)


def refuse_times(lines: Sequence[str]) -> None:
    """Raise InputError, quoting the line, where plain text holds what looks like a time."""
    for line in lines:
        _refuse_times(line)


def _refuse_times(line: str) -> None:
    if LOOKS_LIKE_TIME.search(line):
        raise InputError(
            f"The line {line.strip()[:80]!r} looks as if it gave a time, but not in a way that is "
            "known; write a time before each line (1:23 cut the tomato), or a range (0:01 - 0:04 "
            "cut the tomato), or say --format plain if it is part of what is said."
        )


def _seems_timed(line: str) -> bool:
    return "-->" in line or re.match(r"\s*[\[(]?\d{1,3}:\d{2}", line) is not None


def _timed(line: str) -> bool:
    return _TAG.match(line) is None and next(_pieces(line), None) is not None


def _pieces(line: str) -> Iterator[_Piece]:
    """What a line with its time in front says; a line of lyrics may have several times."""
    if match := _RANGE.match(line):
        start, end = read_clock(match[1]), read_clock(match[2])
        if start is not None and end is not None:
            yield _Piece(start, end, [match[3]] if match[3] else [])
        return
    starts: list[float] = []
    rest = line
    while match := _START.match(rest):
        start = read_clock(match[1] or match[2] or match[3])
        if start is None:
            break
        starts.append(start)
        rest = match[4]
    if not starts and (match := _GLUED.match(line)):
        start = read_clock(match[1])
        starts, rest = ([] if start is None else [start]), match[2]
    for start in starts:
        yield _Piece(start, math.nan, [rest.strip()] if rest.strip() else [])


def _behind(line: str) -> _Piece | None:
    match = _BEHIND.match(line)
    start = read_clock(match[1]) if match else None
    return None if start is None else _Piece(start, math.nan, [])


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
