"""Tables with a cue in each row → cues: CSV, TSV and the like, with a header or without."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.clocks import seconds
from videogem.narration.cues import Cue
from videogem.narration.form import Form
from videogem.narration.items import (
    END_KEYS,
    LENGTH_KEYS,
    START_KEYS,
    TEXT_KEYS,
    cues_of,
    pick_video,
    plain_key,
    says_milliseconds,
)
from videogem.narration.timed_text import has_times

_VIDEO_KEYS = ("videoid", "video", "vid", "filename", "file")
_PARTS = "\t;|,"
_SHOWN = 50  # rows that tell what a table is


@dataclass(frozen=True)
class _Table:
    header: tuple[str, ...]  # empty where there is none
    rows: tuple[tuple[str, ...], ...]
    start: int
    end: int | None
    length: int | None
    text: int
    video: int | None

    def item(self, row: Sequence[str]) -> dict[str, Any]:
        places = {"start": self.start, "end": self.end, "duration": self.length, "text": self.text}
        return {
            name: row[place]
            for name, place in places.items()
            if place is not None and place < len(row)
        }


def parse_csv(
    text: str, *, video: str | None, duration: Seconds | None = None, name: str = "The CSV"
) -> list[Cue]:
    """Read a table with start, end and text columns, in any order, named in any case, or unnamed.

    Columns are parted by commas, semicolons, tabs or bars; a video_id column picks the rows. Whole
    numbers are milliseconds where they would be absurd as seconds.

    Raises:
        InputError: a column is missing, or no row is about this video.
    """
    rows = _split(text)
    table = _table(rows)
    if table is None:
        found = ", ".join(cell for cell in (rows[0] if rows else []) if cell) or "none"
        raise InputError(f"{name} needs columns start, end and text, got {found}.")
    milliseconds = bool(table.header) and says_milliseconds(table.header[table.start])
    items = [(row, table.item(row)) for row in table.rows]
    if table.video is not None:
        videos: dict[str, list[Any]] = {}
        for row, item in items:
            videos.setdefault(row[table.video] if table.video < len(row) else "", []).append(item)
        picked = pick_video(videos, video)
        return cues_of(picked, duration=duration, milliseconds=milliseconds)
    return cues_of([item for _, item in items], duration=duration, milliseconds=milliseconds)


def is_table(text: str) -> bool:
    """Whether the first lines are columns of a table of cues."""
    try:
        return _table(_split("\n".join(text.splitlines()[: 2 * _SHOWN]))) is not None
    except InputError:
        return False


def _split(text: str) -> list[list[str]]:
    lines = [
        line
        for line in text.removeprefix("\ufeff").splitlines(keepends=True)
        # Audacity puts frequencies below a label; spreadsheets say 'sep=;' and comments.
        if line.strip() and not line.startswith(("\\\t", "#")) and not line.startswith("sep=")
    ] or [""]
    if text.lstrip("\ufeff").startswith("#,"):  # a column of numbers, no comment
        lines = [line for line in text.splitlines(keepends=True) if line.strip()]
    shown = lines[:_SHOWN]
    # What parts most lines; of several, the one that is no decimal comma.
    part = max(_PARTS, key=lambda one: (one in shown[0], sum(one in line for line in shown)))
    try:
        rows = list(csv.reader(lines, delimiter=part, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"The table cannot be read ({error}); export it again.") from None
    cleaned = [[cell.strip().strip("\ufeff") for cell in row] for row in rows]
    return [row for row in cleaned if any(row)]


def _table(rows: Sequence[Sequence[str]]) -> _Table | None:
    """What the columns are: by their names where these are known, else by what they hold."""
    if not rows or min(map(len, rows[:_SHOWN])) < 2:
        return None
    named = not any(seconds(cell) is not None for cell in rows[0])
    header = tuple(rows[0]) if named else ()
    body = rows[1:] if named else rows
    width = len(header) or min(map(len, rows[:_SHOWN]))
    cells = [_fitted(row, width) for row in body]
    keys = [plain_key(name) for name in header]

    def column(names: Sequence[str]) -> int | None:
        return next((keys.index(name) for name in names if name in keys), None)

    start, end, length = column(START_KEYS), column(END_KEYS), column(LENGTH_KEYS)
    text, video = column(TEXT_KEYS), column(_VIDEO_KEYS)
    known_start = start is not None
    taken = {place for place in (start, end, length, text, video) if place is not None}
    times = [place for place in range(width) if place not in taken and _holds_times(cells, place)]
    if start is None and times:
        start = times.pop(0)
    if start is not None and end is None and length is None:
        end = next((place for place in times if _follows(cells, start, place)), None)
    if text is None:
        left = set(range(width)) - taken - {start, end}
        text = _longest(cells, left)
    if start is None or text is None or not (known_start or end is not None or length is not None):
        return None
    return _Table(header, tuple(map(tuple, cells)), start, end, length, text, video)


def _fitted(row: Sequence[str], width: int) -> list[str]:
    """Commas in words that are not quoted part them; the last column has the words."""
    if len(row) <= width:
        return list(row)
    return [*row[: width - 1], ", ".join(cell for cell in row[width - 1 :] if cell)]


def _holds_times(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether a column holds times, and no numbers of rows."""
    found = [row[place] for row in rows[:_SHOWN] if place < len(row) and row[place]]
    values = [seconds(cell) for cell in found]
    if not found or any(value is None for value in values):
        return False
    counted = [str(number) for number in range(1, len(found) + 1)]
    counts = found in (counted, [str(int(number) - 1) for number in counted])
    return len(found) == 1 or not counts


def _follows(rows: Sequence[Sequence[str]], start: int, end: int) -> bool:
    pairs = [(seconds(row[start]), seconds(row[end])) for row in rows if len(row) > max(start, end)]
    return all(a is None or b is None or a <= b for a, b in pairs)


def _longest(rows: Sequence[Sequence[str]], places: set[int]) -> int | None:
    """The column with the most words; speakers and tiers are shorter."""

    def letters(place: int) -> int:
        cells = [row[place] for row in rows if place < len(row)]
        return sum(map(str.isalpha, "".join(cell for cell in cells if seconds(cell) is None)))

    best = max(sorted(places), key=letters, default=None)
    return best if best is not None and letters(best) else None


FORMS = (
    Form(
        "csv",
        lambda said: parse_csv(said.text, video=said.video, duration=said.duration),
        (".csv", ".tsv"),
        # A table by name that has none inside, as a transcript saved as .csv, is read as text.
        fits=lambda said: is_table(said.text) or not has_times(said.text),
        likely=lambda said: is_table(said.text),
    ),
)
