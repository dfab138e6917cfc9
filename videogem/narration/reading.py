"""What was said and when: subtitles, transcripts and annotation files → cues; a cue → a time."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from videogem.errors import InputError, meant
from videogem.media.sources import Seconds
from videogem.modules import modules_of
from videogem.narration import forms
from videogem.narration.cues import Cue, Word, tidy
from videogem.narration.decoding import decode
from videogem.narration.form import Form, Written
from videogem.narration.transcripts import parse_json

__all__ = [
    "At", "Cue", "Word", "candidate_times", "cue_time", "parse_cues", "read_cues",
]  # fmt: skip

At = Literal["start", "middle", "end"]

_MAX_BYTES = 64 * 2**20


def read_cues(
    path: str | Path,
    format: str | None = None,
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
    format: str | None = None,
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
    said = Written(source.removeprefix("\ufeff"), suffix, name, key, duration)
    known = narration_forms()
    if format is not None and format not in known:
        raise InputError(
            f"Unknown narration format {format!r}; use one of {', '.join(known)}."
            f"{meant(format, known)}"
        )
    form = _form_of(said) if format is None else known[format]
    found = tidy(form.read(said), duration=duration)
    if not found:
        raise InputError(
            f"{name} holds no cue with words in it (read as {form.name}); check the file, or name "
            f"its format: {', '.join(known)}."
        )
    return found


@cache
def narration_forms() -> Mapping[str, Form]:
    """Every form by its name, in the order in which they are looked for.

    Raises:
        RuntimeError: two have the same name or ending.
    """
    found = [form for module in modules_of(forms) for form in module.FORMS]
    names = Counter(name for form in found for name in (form.name, *form.suffixes))
    if twice := [name for name, count in names.items() if count > 1]:
        raise RuntimeError(f"two forms of narration have {', '.join(twice)}")
    return {form.name: form for form in sorted(found, key=lambda form: (form.rank, form.name))}


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


def guess_format(text: str, suffix: str = "") -> str:
    """Content decides where it is plain to see; the name only settles the rest."""
    return _form_of(Written(text, suffix)).name


def _form_of(said: Written) -> Form:
    known = narration_forms().values()
    named = (form for form in known if said.suffix in form.suffixes)
    return (
        next((form for form in known if form.shows(said)), None)
        or next((form for form in named if form.fits(said)), None)
        or next(form for form in known if form.likely(said))
    )


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
