"""What Python does with garbage holds all threads up: little at a time where a value is large."""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LONGEST_S = 60.0  # without a look, where large values follow each other without a break
AT_ONCE = 2000  # elements of a list

_lock = threading.Lock()
_large = 0  # values in hand
_since = 0.0


@contextmanager
def large_in_hand() -> Iterator[None]:
    """Let nobody look for circles meanwhile, or once a minute at most.

    A value read from JSON has none, and each look goes through all of it: 0.2 s where it has a
    million lists.
    """
    global _large, _since
    with _lock:
        if not _large:
            gc.disable()
            _since = time.monotonic()
        elif time.monotonic() - _since > LONGEST_S:
            gc.collect()
            _since = time.monotonic()
        _large += 1
    try:
        yield
    finally:
        with _lock:
            _large -= 1
            if not _large:
                gc.enable()


def take_apart(value: Any) -> None:
    """Empty a value of JSON, and all that is in it, so that others go on: nobody may use it after.

    Let go of as a whole, 16 MB of regions take 30 ms.

    >>> region = {"value": {"labels": ["cut"]}}
    >>> take_apart([1, region])
    >>> region
    {}
    """
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [child for child in each.values() if isinstance(child, dict | list)]
            each.clear()
        while isinstance(each, list) and each:
            waiting += [child for child in each[-AT_ONCE:] if isinstance(child, dict | list)]
            del each[-AT_ONCE:]
