"""One process at a time: what all backends of one database would otherwise do alike."""

import fcntl
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

LOOK_S = 1.0  # seconds until a turn that somebody else has is asked for again


@contextmanager
def alone(engine: sa.Engine, name: str) -> Iterator[bool]:
    """Whether this process has the turn of this name, until the end of the block.

    The turn ends with the process or with its connection to the database, however they end.

    Raises:
        SQLAlchemyError: the database cannot be asked.
        OSError: beside SQLite's file nothing can be written.
    """
    if engine.dialect.name == "postgresql":
        with _alone_on_server(engine, name) as mine:
            yield mine
    elif engine.dialect.name == "sqlite":
        database = Path(str(engine.url.database))
        with database.with_name(f"{database.name}.{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
    else:  # other databases have one backend each
        yield True


@contextmanager
def _alone_on_server(engine: sa.Engine, name: str) -> Iterator[bool]:
    number = int.from_bytes(hashlib.sha256(f"turn {name}".encode()).digest()[:7])
    # Without a transaction: one that stays open as long as the turn would keep old rows alive.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(number))).scalar_one():
            yield False
            return
        try:
            yield True
        finally:
            if not connection.invalidated:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))


@contextmanager
def in_turn(engine: sa.Engine, name: str, stop: threading.Event | None = None) -> Iterator[bool]:
    """Wait for the turn of this name; False where ``stop`` was set before it came.

    Raises:
        SQLAlchemyError: the database cannot be asked.
        OSError: beside SQLite's file nothing can be written.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        with alone(engine, name) as mine:
            if mine:
                yield True
                return
        stop.wait(LOOK_S)
    yield False
