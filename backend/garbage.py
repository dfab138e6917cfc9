"""What Python does with garbage holds all threads up: little at a time where a value is large."""

import atexit
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LONGEST_S = 60.0  # without a look, where large values follow each other without a break
AT_ONCE = 2000  # elements of a list
# New objects until Python looks for circles among the young, the middle-aged and all. torch and
# spaCy make a million that stay: by default a quarter of the time that their import takes goes into
# looks at them.
COLLECT_AFTER = (20_000, 20, 50)

_lock = threading.Lock()
_large = 0  # values in hand
_since = 0.0


def collect_seldom() -> None:
    """Look for circles seldom from now on, and not at all when the process ends.

    The last look, at all modules that were ever imported, takes some tenths of a second, in which
    whoever typed a command waits for the prompt. What closes files and folders does not need it.
    """
    gc.set_threshold(*COLLECT_AFTER)
    atexit.register(gc.freeze)


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
