"""A system that gives no more threads, as where a container's limit is reached for a moment."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def no_threads(name: str, *, but: int = 0) -> Iterator[None]:
    """Threads of this name cannot be started within, but for the first few."""
    start, started = threading.Thread.start, []

    def refused(thread: threading.Thread) -> None:
        if thread.name == name:
            started.append(thread)
            if len(started) > but:
                raise RuntimeError("can't start new thread")
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        yield
