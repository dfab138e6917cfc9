"""A request's JSON, bounded in depth, size and numbers, and read so that other threads go on."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from backend.database.json_text import LONG, GentleDecoder, json_characters
from backend.qa.events import clean
from videogem.errors import InputError
from videogem.nesting import DEEPEST, is_deep

MAX_DEPTH = DEEPEST  # of lists and objects in each other
MAX_CONTAINERS = 1_000_000  # lists and objects; an empty one takes 60 bytes
MAX_VALUES = 8_000_000
SLICE = 1024 * 1024
# Surrogates and NUL as JSON escapes them, and surrogates as UTF-8 would write them, which it never
# does.
REFUSED = re.compile(rb"\\u(d[89a-f]|0000)|\xed[\xa0-\xbf]", re.IGNORECASE)
REFUSED_BYTES = 6


class BadJsonError(InputError):
    """What came is not the JSON of a well-meaning program; the message says where."""


def read_json(data: bytes) -> Any:
    """The value that ``data`` stands for.

    A large body costs time, and nobody else waits for it (see ``GentleDecoder``). What no database
    and no encoding takes is replaced (see ``clean``).

    Raises:
        BadJsonError: it is no JSON, or more of it than anybody means.

    >>> read_json(b'{"id": 7, "score": 0.5}')
    {'id': 7, 'score': 0.5}
    >>> read_json(b'{"id": 7, "id": 8}')
    Traceback (most recent call last):
    backend.web.json_body.BadJsonError: The JSON has 'id' twice in one object.
    """
    _check_counts(data)
    try:
        if len(data) < LONG:
            value = json.loads(data, **HOOKS)
        else:
            value = GentleDecoder(**HOOKS).decode(json_characters(data))
    except RecursionError:
        raise _too_deep() from None
    except BadJsonError:
        raise
    except ValueError as error:  # of the JSON or of its characters
        raise BadJsonError(f"The JSON cannot be read: {str(error)[:200]}.") from None
    if is_deep(value, MAX_DEPTH):
        raise _too_deep()
    return clean(value) if _may_hold_refused(data) else value


def _may_hold_refused(data: bytes) -> bool:
    """Whether there may be text in it that is refused; a search holds all threads up."""
    if json.detect_encoding(data) not in ("utf-8", "utf-8-sig"):
        return True
    starts = range(0, len(data), SLICE)
    return any(REFUSED.search(data, start, start + SLICE + REFUSED_BYTES) for start in starts)


def _check_counts(data: bytes) -> None:
    """Count before anything is built: what is in strings counts too, which is little."""
    containers = values = 0
    for start in range(0, len(data), SLICE):
        part = data[start : start + SLICE]
        containers += part.count(b"[") + part.count(b"{")
        values += part.count(b",")
        if containers > MAX_CONTAINERS or values > MAX_VALUES:
            raise BadJsonError(
                f"The JSON has more than {MAX_CONTAINERS:,} lists and objects, or {MAX_VALUES:,} "
                "values: send fewer tasks at a time."
            )


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadJsonError(f"The JSON has {twice[:50]!r} twice in one object.")
    return found


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BadJsonError(f"The JSON has a number beyond all: {text[:30]}.")
    return number


def _int(text: str) -> int:
    if len(text) > 1000:  # Python itself refuses from 4,300 on, as the time grows with the square
        raise BadJsonError(f"The JSON has a number of {len(text)} digits.")
    return int(text)


def _constant(text: str) -> float:
    raise BadJsonError(f"The JSON has {text}, which is no JSON.")


def _too_deep() -> BadJsonError:
    return BadJsonError(f"The JSON is nested more than {MAX_DEPTH} lists and objects deep.")


HOOKS: dict[str, Any] = {
    "object_pairs_hook": _object,
    "parse_float": _float,
    "parse_int": _int,
    "parse_constant": _constant,
}
