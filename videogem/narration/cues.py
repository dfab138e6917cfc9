"""A cue: one piece of narration with its time; and how cues are cleaned."""

import bisect
import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.spoken import without_marks

_MARKS_IN_MARKS = 20  # '[Music] - ANN: (laughs) ...'
_GUESSED_LENGTH = 3.0  # s; a cue without an end that nothing follows
_TAGS = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]*\}")


@dataclass(frozen=True)
class Word:
    """One spoken word; times are None where the transcript has none and none can be inferred."""

    text: str
    start: Seconds | None = None
    end: Seconds | None = None


@dataclass(frozen=True)
class Cue:
    """One piece of narration: seconds from the start of the video, and what is said."""

    start: Seconds
    end: Seconds
    text: str
    words: tuple[Word, ...] = ()


def plain_text(text: str) -> str:
    """Strip tags, entities and line breaks.

    >>> plain_text("<v Ann><i>cut</i> the&nbsp;{\\\\an8}tomato")
    'cut the tomato'
    """
    return " ".join(html.unescape(_TAGS.sub("", text)).split())


def tidy(cues: Iterable[Cue], *, duration: Seconds | None = None) -> list[Cue]:
    """Sort, clean and complete cues.

    Cues without words go; an end before the start, or none (NaN), becomes the next cue's start;
    the same words twice in a row at touching times are one cue. Cues that overlap are kept as they
    are: two people may talk at once. Word times that are missing are interpolated.
    """
    cleaned = [replace(cue, text=_said(cue.text), start=max(0.0, cue.start)) for cue in cues]
    spoken = sorted((cue for cue in cleaned if cue.text), key=lambda cue: cue.start)
    starts = [cue.start for cue in spoken]
    ended = [replace(cue, end=_end(cue, starts, duration)) for cue in spoken]
    done: list[Cue] = []
    for cue in sorted(ended, key=lambda cue: (cue.start, cue.end)):
        if done and done[-1].text == cue.text and cue.start <= done[-1].end + 0.05:
            done[-1] = replace(done[-1], end=max(done[-1].end, cue.end))
            continue
        done.append(replace(cue, words=timed_words(cue.words, cue.start, cue.end)))
    return done


def _said(text: str) -> str:
    """Words without the speaker's name and sound marks, but '[Music]' where there is nothing else.

    >>> _said("- ANN: (laughs) She cooks."), _said("[Music]")
    ('She cooks.', '[Music]')
    """
    plain = plain_text(text)
    said = plain
    for _ in range(_MARKS_IN_MARKS):
        before, said = said, without_marks(said)
        if said == before:
            break
    return said if any(character.isalpha() for character in said) else plain


def _end(cue: Cue, starts: Sequence[Seconds], duration: Seconds | None) -> Seconds:
    """The end of a cue; where it has none, the start of the next one, or a guess."""
    if not math.isfinite(cue.start) or math.isinf(cue.end):
        raise InputError(f"The cue {cue.text!r} has no finite time.")
    if cue.end >= cue.start:
        return cue.end
    later = bisect.bisect_right(starts, cue.start)
    if later < len(starts):
        return starts[later]
    guess = cue.start + _GUESSED_LENGTH
    return max(cue.start, guess if duration is None else min(guess, float(duration)))


def timed_words(words: Iterable[Word], start: Seconds, end: Seconds) -> tuple[Word, ...]:
    """Give every word a time: those without one share the gap between their neighbours evenly.

    WhisperX leaves out times of words it cannot align, such as those with digits.
    """
    known = [word for word in words if word.text.strip()]
    done: list[Word] = []
    place = 0
    while place < len(known):
        word = known[place]
        before = done[-1].end if done and done[-1].end is not None else start
        if word.start is not None:
            finish = word.end if word.end is not None else _next_start(known, place + 1, end)
            begin = max(word.start, start)
            done.append(Word(word.text.strip(), begin, max(begin, min(finish, max(end, begin)))))
            place += 1
            continue
        stop = place
        while stop < len(known) and known[stop].start is None:
            stop += 1
        until = max(before, _next_start(known, stop, end))
        share = (until - before) / (stop - place)
        for step, missing in enumerate(known[place:stop]):
            begin = before + step * share
            done.append(Word(missing.text.strip(), begin, begin + share))
        place = stop
    return tuple(done)


def _next_start(words: list[Word], place: int, end: Seconds) -> Seconds:
    for word in words[place:]:
        if word.start is not None:
            return word.start
    return end
