"""How many requests are being answered just now."""

import threading


class Traffic:
    """Counts the requests being answered, so that background work can let them pass."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._active = 0

    def __enter__(self) -> int:
        with self._condition:
            self._active += 1
            return self._active

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._active -= 1
            self._condition.notify_all()

    def wait_until_quiet(self, timeout: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._active == 0, timeout)
