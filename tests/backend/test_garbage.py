"""Large values are let go of little by little, and nobody looks for circles in them meanwhile."""

import gc
import subprocess
import sys
from typing import Any

import pytest

from backend import garbage
from backend.garbage import AT_ONCE, COLLECT_AFTER, large_in_hand, take_apart

CODE = """
import atexit, gc, sys
# Called last, as what was registered first is.
atexit.register(lambda: print(gc.get_threshold(), gc.get_freeze_count() > 10_000))
from backend.cli import main
sys.argv = ["videogem", "--version"]
main()
"""


def test_nobody_looks_for_circles_while_something_large_is_in_hand() -> None:
    assert gc.isenabled()
    with large_in_hand():
        with large_in_hand():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_where_large_ones_follow_each_other_circles_are_looked_for_at_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(1))
    with large_in_hand():
        with large_in_hand():
            assert not looks
        monkeypatch.setattr(garbage, "LONGEST_S", 0.0)
        with large_in_hand():
            assert looks == [1]


def test_a_defect_meanwhile_changes_nothing() -> None:
    with pytest.raises(ZeroDivisionError), large_in_hand():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_all_that_is_in_it_is_emptied() -> None:
    value = {"tasks": [{"id": n, "data": {"captions": [{"text": "cut"}]}} for n in range(5_000)]}
    inner = list(containers(value))
    take_apart(value)
    assert len(inner) == 20_002
    assert not any(inner)


def test_no_step_lets_go_of_much() -> None:
    class Watched(list[Any]):
        """Notes how many elements go at a time."""

        def __delitem__(self, index: Any) -> None:
            steps.append(len(self[index]))
            super().__delitem__(index)

    steps: list[int] = []
    value = Watched([None] * 100_000)
    take_apart([value])
    assert sum(steps) == 100_000
    assert max(steps) <= AT_ONCE


def containers(value: Any) -> Any:
    if isinstance(value, dict | list):
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from containers(child)


@pytest.mark.parametrize("value", [None, 7, "text", [], {}])
def test_what_is_small_has_nothing_to_take_apart(value: Any) -> None:
    take_apart(value)


def test_the_command_line_ends_without_a_look_at_everything() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{COLLECT_AFTER} True"
