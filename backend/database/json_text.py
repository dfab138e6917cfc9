"""JSON for the database, written and read so that other threads go on."""

import codecs
import json
from collections.abc import Iterator
from json import decoder, scanner
from typing import Any

AT_ONCE = 2000  # values written without a break
LONG = 100_000  # characters; shorter texts are read within some milliseconds
DECODED = 1024 * 1024  # bytes that become characters without a break
SLICE = 200  # elements of a list that are looked at together


def json_text(value: Any) -> str:
    """The shortest JSON of a value.

    ``json.dumps`` holds all threads up until the whole is written: a second for 8 MB.

    >>> json_text({"id": 7, "result": [1, {"a": None}]})
    '{"id":7,"result":[1,{"a":null}]}'
    """
    return "".join(_pieces(value))


class GentleDecoder(json.JSONDecoder):
    """Reads as json's own decoder does, with Python's interpreter between any two values.

    The faster one is C, which holds all threads up until it is done: 0.1 s for 8 MB. What the
    standard library has for interpreters without that C does not, and takes 0.5 to 1.5 s.

    >>> GentleDecoder().decode('{"id": [7, "a", null]}')
    {'id': [7, 'a', None]}
    """

    def __init__(self, **hooks: Any) -> None:
        super().__init__(**hooks)
        self.parse_object = decoder.JSONObject  # type: ignore[attr-defined]  # not in its stubs
        self.parse_array = decoder.JSONArray  # type: ignore[attr-defined]
        self.scan_once = scanner.py_make_scanner(self)  # type: ignore[attr-defined]


def json_value(text: str | bytes) -> Any:
    """The value that a JSON text stands for; other threads go on while a long one is read.

    Raises:
        ValueError: it is no JSON.

    >>> json_value('{"id": 7, "score": 0.5}')
    {'id': 7, 'score': 0.5}
    """
    if len(text) < LONG:
        return json.loads(text)
    return GentleDecoder().decode(text if isinstance(text, str) else json_characters(text))


def json_characters(data: bytes) -> str:
    """The characters of a JSON text, in whichever of its encodings it is.

    Raises:
        UnicodeDecodeError: it is in none.
    """
    parts = (data[start : start + DECODED] for start in range(0, len(data), DECODED))
    return "".join(codecs.iterdecode(parts, json.detect_encoding(data), "surrogatepass"))


def _pieces(value: Any) -> Iterator[str]:
    if _is_small(value):
        yield _dumps(value)
    elif isinstance(value, dict):
        mark = "{"
        for key, child in value.items():
            yield mark + _dumps({key: 0})[1:-2]  # a key that is a number becomes text
            yield from _pieces(child)
            mark = ","
        yield "}"
    else:
        mark = "["
        for start in range(0, len(value), SLICE):
            part = value[start : start + SLICE]
            if _is_small(part):
                yield mark + _dumps(part)[1:-1]
                mark = ","
                continue
            for child in part:
                yield mark
                yield from _pieces(child)
                mark = ","
        yield "]"


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _is_small(value: Any) -> bool:
    """Whether there are few values in it, at all levels together."""
    level, count = [value], 0
    while level:
        parent = level.pop()
        if isinstance(parent, dict | list):
            count += len(parent)
            if count > AT_ONCE:
                return False
            level.extend(parent.values() if isinstance(parent, dict) else parent)
    return True
