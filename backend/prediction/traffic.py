"""How many requests are being answered just now."""

import threading


class Traffic:
    """Counts the requests being answered, so that some threads stay free."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0

    def __enter__(self) -> int:
        with self._lock:
            self._active += 1
            return self._active

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._active -= 1
