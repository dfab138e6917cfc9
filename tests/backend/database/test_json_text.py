"""JSON in pieces is the JSON of the standard library."""

import json
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

from backend.database import json_text as module
from backend.database.json_text import AT_ONCE, LONG, json_text
from backend.web.json_body import read_json


def grown(rng: random.Random, depth: int) -> Any:
    """Any JSON value, with long lists and objects now and then."""
    kind = rng.randrange(8) if depth else 0
    size = rng.choice([0, 1, 3, 30])
    if kind in (1, 2, 3):
        return [grown(rng, depth - 1) for _ in range(size)]
    if kind in (4, 5):
        return {
            rng.choice(["k", "ä", '"', ""]) + str(n): grown(rng, depth - 1) for n in range(size)
        }
    return rng.choice([None, True, 0, -1.5, 1e300, "text", 'ä\n"', 2**60])


@pytest.mark.parametrize("seed", range(100))
def test_it_is_that_of_the_standard_library(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(module, "AT_ONCE", rng.choice([1, 5, 50]))
    monkeypatch.setattr(module, "SLICE", rng.choice([1, 2, 7]))
    value = grown(rng, 4)
    assert json_text(value) == json.dumps(value, separators=(",", ":"))


def test_numbers_as_keys() -> None:
    value = {7: list(range(AT_ONCE + 1)), None: 1}
    assert json_text(value) == json.dumps(value, separators=(",", ":"))


def test_no_piece_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    dumps = module._dumps
    monkeypatch.setattr(module, "_dumps", lambda part: sizes.append(len(part)) or dumps(part))
    value = {"a": [[n, {"b": [n] * 50}] for n in range(5000)], "c": list(range(100_000))}
    assert json.loads(json_text(value)) == value
    assert max(sizes) <= AT_ONCE


RUNS = {
    "numbers": "12.5",
    "whole numbers": "7",
    "texts": '"ab"',
    "nulls": "null",
    "empty lists": "[]",
    "empty objects": "{}",
    "objects": '{"a":1}',
}


@pytest.mark.parametrize("value", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("read", [module.json_value, read_json])
def test_others_have_their_turn_between_any_two_values(
    read: Callable[[bytes], Any], value: str
) -> None:
    """The interpreter lets other threads go on only between its own steps, so it must make some."""
    count = LONG // 4
    text = f"[{','.join([value] * count)}]".encode() + b" " * LONG
    steps: list[int] = []
    sys.setprofile(lambda frame, event, argument: steps.append(1))
    try:
        found = read(text)
    finally:
        sys.setprofile(None)
    assert len(found) == count
    assert len(steps) > count


def test_long_texts_are_read_as_the_standard_library_reads_them() -> None:
    rng = random.Random(1)
    for _ in range(300):
        text = json.dumps(grown(rng, 4), ensure_ascii=rng.random() < 0.5)
        at = rng.randrange(len(text) + 1)
        broken = text[:at] + rng.choice(["", ",", "]", '"', "1", "\\", "nul", "\ud800"]) + text[at:]
        for each in text, broken:
            data = (each + " " * LONG).encode(rng.choice(["utf-8", "utf-16"]), "surrogatepass")
            assert outcome(module.json_value, data) == outcome(json.loads, data)


def outcome(read: Callable[[bytes], Any], data: bytes) -> str:
    try:
        return repr(read(data))
    except ValueError as error:
        return str(error)
