"""A PostgreSQL that takes what we send and answers nothing: nobody waits for it for ever.

A machine that is frozen, or whose disk hangs, keeps its connections: the system confirms what
arrives there, so neither TCP's timeouts nor the server's own ever end the wait. Here whoever has
waited for some time opens a second connection. Where that is answered, the statement is merely
long; where it is not, the first is given up.
"""

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.waiting import Ready, Wait

Value = TypeVar("Value")
Steps = Generator[Wait, Ready | int, Value]  # of a statement, between which is waited
AGAIN_S = 1.0  # seconds after a silent attempt in which nobody else makes one
ASKING_S = 10.0  # and while somebody makes one; it ends sooner, by the connection's own timeout
LOOK_S = 0.1  # between two looks at the clock while waiting


class SilentError(psycopg.OperationalError):
    """The server answers nothing just now."""


class Server:
    """What is known of one server by all connections to it. Safe for threads.

    ``patience`` gives the seconds after which a statement without any answer is looked into.
    """

    def __init__(self, patience: Callable[[], float]) -> None:
        self.patience = patience
        self._lock = threading.Lock()
        self._silent_until = 0.0  # by the monotonic clock; 0: it answers as far as is known
        self._given: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def connect(self, *args: Any, **options: Any) -> "Connection":
        """As ``psycopg.connect``; at once an error where others wait for an answer in vain.

        Raises:
            SilentError: it did not answer others a moment ago.
            psycopg.OperationalError: it refuses, or does not answer in time.
        """
        self._given = args, options
        with self._lock:
            now = time.monotonic()
            if now < self._silent_until:
                raise SilentError("the server does not answer")
            if self._silent_until:
                self._silent_until = now + ASKING_S
        try:
            connection = Connection.connect(*args, **options)
        except psycopg.errors.ConnectionTimeout:
            self._silent_until = time.monotonic() + AGAIN_S
            raise
        except psycopg.Error:
            self._silent_until = 0.0  # a refusal is an answer
            raise
        self._silent_until = 0.0
        connection.server = self
        return connection

    def answers(self) -> bool:
        """Whether it answers a connection of its own, if only by a refusal."""
        args, options = self._given
        try:
            self.connect(*args, **options).close()
        except (SilentError, psycopg.errors.ConnectionTimeout):
            return False
        except psycopg.Error:
            return True
        return True


class Connection(psycopg.Connection[Any]):
    """A connection that is closed where its server fell silent within a statement."""

    server: Server | None = None

    def wait(
        self, gen: Steps[Value], interval: float = LOOK_S, timeout: float | None = None
    ) -> Value:
        """Wait for an answer.

        Raises:
            SilentError: there was none, and the server does not answer others either.
        """
        try:
            return super().wait(self._watched(gen), min(interval, LOOK_S), timeout)
        except SilentError:
            self.pgconn.finish()  # the answer may still come, to whoever asks next
            raise

    def _watched(self, gen: Steps[Value]) -> Steps[Value]:
        """The same, with a look at the clock as often as nothing has come."""
        server = self.server
        seconds = server.patience() if server else 0.0
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready != Ready.NONE:
                    heard = time.monotonic()
                elif server is not None and time.monotonic() - heard > seconds:
                    if not server.answers():
                        raise SilentError("the server fell silent within a statement")
                    heard = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            value: Value = end.value
            return value
