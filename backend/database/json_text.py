"""JSON for the database, written and read so that other threads go on."""

import json
from collections.abc import Iterator
from typing import Any

AT_ONCE = 2000  # values written without a break
LONG = 100_000  # characters; shorter texts are read within a millisecond
SLICE = 200  # elements of a list that are looked at together


def json_text(value: Any) -> str:
    """The shortest JSON of a value.

    ``json.dumps`` holds all threads up until the whole is written: a second for 8 MB.

    >>> json_text({"id": 7, "result": [1, {"a": None}]})
    '{"id":7,"result":[1,{"a":null}]}'
    """
    return "".join(_pieces(value))


def json_value(text: str | bytes) -> Any:
    """The value that a JSON text stands for.

    ``json.loads`` holds all threads up until the whole is read; where it calls back, for every
    object and number, others have their turn.

    >>> json_value('{"id": 7, "score": 0.5}')
    {'id': 7, 'score': 0.5}
    """
    if len(text) < LONG:
        return json.loads(text)
    return json.loads(text, object_pairs_hook=_object, parse_int=_int, parse_float=_float)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs)


def _int(text: str) -> int:
    return int(text)


def _float(text: str) -> float:
    return float(text)


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
