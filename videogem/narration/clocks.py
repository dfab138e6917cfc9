"""How people and programs write a time: clocks, timecodes with frames, seconds with a unit."""

import math
import re

FRAME_RATE = 25.0  # of timecodes that do not say theirs
# A fraction after a blank only where it is plain: SRT that was translated by machine has '01, 500'.
CLOCK = (
    r"(?:\d{1,3}:)?\d{1,3}:\d{1,2}"
    r"(?:[.,]\d{1,9}|,\s\d{3}(?!\d)|[:;]\d{2,3}(?!\d))?(?!\s?(?:[ap]\.?m\b|o'clock))"
)
SECONDS_AND_UNIT = r"\d{1,6}(?:[.,]\d{1,6})?\s?(?:seconds?|secs?|s)\b"
# '1m 30s', '00h00m01.5s', '1 min 5 sec', '0'05"'
MINUTES_AND_SECONDS = (
    r"(?:(?:\d{1,2}\s?h\s?)?\d{1,3}\s?m(?:in)?\s?\d{1,2}(?:[.,]\d{1,6})?\s?s(?:ec)?\b"
    r"|\d{1,3}['\u2032]\d{1,2}(?:[.,]\d{1,6})?(?:[\"\u2033]|''))"
)
SECONDS = r"\d{1,6}[.,]\d{1,6}"
ARROW = r"\s*(?:-{1,2}>|[\u2192\u2794\u27f6])\s*"

_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:[.,]\s?\d+)?)(?:[:;](\d{2,3}))?")
_UNITS = re.compile(
    r"(?:(\d+)\s?h\s?)?(?:(\d+)\s?m(?:in)?\s?)?(?:(\d+(?:[.,]\d+)?)\s?(?:seconds?|secs?|s))?"
    r"|(?P<m>\d+)['\u2032](?P<s>\d+(?:[.,]\d+)?)(?:[\"\u2033]|'')"
)


def seconds(value: object) -> float | None:
    """Seconds from a number, a clock, a timecode with frames or a number with units, else None.

    >>> seconds("1:02:03,5"), seconds("00:00:01:15"), seconds("0:02"), seconds("12.5")
    (3723.5, 1.6, 2.0, 12.5)
    >>> seconds("1m 30.5s"), seconds("0'05\\""), seconds("00:00:01:500"), seconds("soon")
    (90.5, 5.0, 1.5, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if clock := _CLOCK.fullmatch(text):
        return _of_clock(*clock.groups())
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return _of_units(text)
    return number if math.isfinite(number) else None


def _of_clock(hours: str | None, minutes: str, rest: str, frames: str | None) -> float | None:
    if frames is not None and hours is None:
        if len(frames) == 2:  # 'mm:ss:ff' and 'h:mm:ss' look alike, and the latter is usual
            return None
        hours = "0"
    whole = (
        int(hours or 0) * 3600 + int(minutes) * 60 + float(rest.replace(",", ".").replace(" ", ""))
    )
    if frames is None:
        return whole
    return whole + int(frames) / (1000.0 if len(frames) == 3 else FRAME_RATE)


def _of_units(text: str) -> float | None:
    match = _UNITS.fullmatch(text.lower())
    if match is None or not any(match.groups()):
        return None
    if match["m"]:
        return int(match["m"]) * 60 + float(match["s"].replace(",", "."))
    hours, minutes, rest = match[1], match[2], match[3]
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float((rest or "0").replace(",", "."))
