"""How much is fetched at a time, and until when."""

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

AT_ONCE = 32  # fetches of this backend
OF_ONE_HOST = 8

_end: ContextVar[float] = ContextVar("end", default=math.inf)


@contextmanager
def fetching_until(deadline: float | None) -> Iterator[None]:
    """Fetch nothing within that lasts beyond a ``deadline`` of ``time.monotonic``."""
    token = _end.set(min(_end.get(), math.inf if deadline is None else deadline))
    try:
        yield
    finally:
        _end.reset(token)


def end_of_fetching() -> float:
    """When this thread's fetches must have ended, whatever else limits them."""
    return _end.get()


class Turns:
    """A slow host has a few of the turns, so that others always find one. Safe for threads."""

    def __init__(self, at_once: int = AT_ONCE, of_one_host: int = OF_ONE_HOST) -> None:
        self._at_once = at_once
        self._of_one_host = of_one_host
        self._taken: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, host: str, deadline: float) -> Iterator[None]:
        """Hold a turn of a host.

        Raises:
            TimeoutError: there was none until the deadline.
        """
        with self._changed:
            left = max(0.0, deadline - time.monotonic())
            if not self._changed.wait_for(lambda: self._is_free(host), left):
                raise TimeoutError
            self._taken[host] += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= Counter({host: 1})  # forgets hosts without any
                self._changed.notify_all()

    def _is_free(self, host: str) -> bool:
        return self._taken[host] < self._of_one_host and self._taken.total() < self._at_once
