"""SRT and WebVTT, also as they are found: without indexes, with tags, rolling."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from videogem.narration.clocks import ARROW, CLOCK, seconds
from videogem.narration.cues import Cue, Word, plain_text
from videogem.narration.form import Form, Written
from videogem.narration.spoken import start_with_names

_TIMING = re.compile(rf"^\s*({CLOCK}){ARROW}({CLOCK})(?:\s.*)?$")
_WORD_TIME = re.compile(rf"<({CLOCK})>")
_NO_CUE = re.compile(r"^(WEBVTT|NOTE|STYLE|REGION)(\s|$)")
_TOUCHING = 0.05  # s between cues that follow each other without a pause


@dataclass(frozen=True)
class _Shown:
    """A cue as written: its lines with their tags."""

    start: float
    end: float
    lines: tuple[str, ...]

    @property
    def plain(self) -> tuple[str, ...]:
        return tuple(plain_text(line) for line in self.lines)


def parse_captions(text: str) -> list[Cue]:
    """Read SRT or WebVTT; what is neither timing nor words of a cue is skipped.

    Rolling captions, as YouTube makes them, show each line two or three times while it scrolls up;
    each line is kept once, at the time it first appears.
    """
    shown = _without_highlights(_read_blocks(text))
    if _rolls(shown):
        return _unrolled(shown)
    named = start_with_names([one.plain for one in shown if any(one.plain)])
    return [_cue(one, one.lines[1:] if named else one.lines) for one in shown]


def captioned(text: str) -> bool:
    """Whether a text has lines of SRT or WebVTT timings."""
    return any(_TIMING.match(line) for line in text.splitlines())


def _without_highlights(shown: Sequence[_Shown]) -> list[_Shown]:
    """Cues that show the same words with another one marked are one cue, however many there are."""
    done: list[_Shown] = []
    for one in shown:
        last = done[-1] if done else None
        marked = last is not None and last.plain == one.plain and any(one.plain)
        if (
            last is not None
            and marked
            and one.start <= last.end + _TOUCHING
            and not any(_WORD_TIME.search(line) for line in (*last.lines, *one.lines))
            and any("<" in line or "{" in line for line in (*last.lines, *one.lines))
        ):
            done[-1] = _Shown(last.start, max(last.end, one.end), last.lines)
        else:
            done.append(one)
    return done


def _read_blocks(text: str) -> list[_Shown]:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shown: list[_Shown] = []
    timings = [(place, match) for place, line in enumerate(lines) if (match := _TIMING.match(line))]
    for number, (place, match) in enumerate(timings):
        last = number + 1 == len(timings)
        until = len(lines) if last else timings[number + 1][0]
        body = _body(lines[place + 1 : until], followed=not last)
        start, end = seconds(match[1]), seconds(match[2])
        if start is not None and end is not None:
            shown.append(_Shown(start, end, tuple(body)))
    return shown


def _body(lines: Sequence[str], *, followed: bool) -> list[str]:
    """Lines of one cue, without the identifier of the next one and without notes.

    YouTube puts lines of a single blank between words, so only an empty line ends a cue, and what
    comes after it is a note, or the identifier of the next cue.
    """
    body: list[str] = []
    for place, line in enumerate(lines):
        if line == "" and body:
            break
        if _NO_CUE.match(line) and (place == 0 or lines[place - 1] == ""):
            break
        body.append(line)
    # SRT without empty lines between cues: the line before the next timing is its index.
    if followed and len(body) == len(lines) and body and body[-1].strip().isdecimal():
        body.pop()
    return [line for line in body if line.strip()]


def _rolls(shown: Sequence[_Shown]) -> bool:
    """Most cues begin with what the one before still shows, without a pause."""
    spoken = [one for one in shown if any(one.plain)]
    if len(spoken) < 2:
        return False
    repeats = sum(
        later.start <= earlier.end + _TOUCHING and _overlap(earlier.plain, later.plain) > 0
        for earlier, later in pairwise(spoken)
    )
    return 2 * repeats >= len(spoken) - 1


def _overlap(before: Sequence[str], now: Sequence[str]) -> int:
    """How many of the lines shown now were the last ones before."""
    for length in range(min(len(before), len(now)), 0, -1):
        if tuple(before[-length:]) == tuple(now[:length]):
            return length
    return 0


def _unrolled(shown: Sequence[_Shown]) -> list[Cue]:
    cues: list[Cue] = []
    before: tuple[str, ...] = ()
    ended = 0.0
    for one in shown:
        plain = one.plain
        lines = [(raw, text) for raw, text in zip(one.lines, plain, strict=True) if text]
        now = tuple(text for _, text in lines)
        if one.start > ended + _TOUCHING:
            before = ()
        fresh = lines[_overlap(before, now) :]
        if cues and before and fresh and fresh[0][1].startswith(f"{before[-1]} "):
            # The last line grows word by word: the same sentence, longer.
            grown = _cue(one, [raw for raw, _ in fresh])
            cues[-1] = Cue(cues[-1].start, one.end, grown.text)
        elif fresh:
            cues.append(_cue(one, [raw for raw, _ in fresh]))
        before, ended = now or before, one.end
    return cues


def _cue(shown: _Shown, lines: Sequence[str]) -> Cue:
    raw = " ".join(lines)
    return Cue(shown.start, shown.end, plain_text(raw), _timed(raw, shown))


def _timed(raw: str, shown: _Shown) -> tuple[Word, ...]:
    """Words from inline times: 'crack<00:00:10.200><c> two</c>'."""
    parts = _WORD_TIME.split(raw)
    if len(parts) == 1:
        return ()
    words: list[Word] = []
    begins = [shown.start, *(seconds(mark) for mark in parts[1::2])]
    for place, (begin, part) in enumerate(zip(begins, parts[::2], strict=True)):
        spoken = plain_text(part).split()
        end = begins[place + 1] if place + 1 < len(begins) else shown.end
        if begin is None or end is None or not spoken:
            continue
        share = (end - begin) / len(spoken)
        words += [
            Word(word, begin + step * share, begin + (step + 1) * share)
            for step, word in enumerate(spoken)
        ]
    return tuple(words)


def _read(said: Written) -> list[Cue]:
    return parse_captions(said.text)


FORMS = (
    Form("vtt", _read, (".vtt",), shows=lambda said: said.head[:6].upper() == "WEBVTT", rank=10),
    Form("srt", _read, (".srt",), shows=lambda said: captioned(said.text), rank=50),
)
