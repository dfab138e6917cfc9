"""Python's look for circles of garbage, which holds all threads up, waits for what is large.

A value read from JSON has no circles, and is gone as soon as nobody holds it. While it is there,
each look goes through all of it: 0.2 s where it has a million lists.
"""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_S = 60.0  # without a look, where large values follow each other without a break

_lock = threading.Lock()
_large = 0  # values in hand
_since = 0.0


@contextmanager
def large_in_hand() -> Iterator[None]:
    """Let nobody look for circles meanwhile, or once a minute at most."""
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
