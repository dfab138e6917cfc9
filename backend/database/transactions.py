"""Transactions of the three kinds there are: to read, to append rows, to change what others change.

Each waits for its turn as long as the caller's ``patience`` and is committed at the end of the
block, or rolled back where it raises.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from backend.database.engine import lock_writers, note_begun, writer_lock


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Read, all of it at one moment where the database is SQLite."""
    with engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def appending(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Write rows that no other writer looks at: on PostgreSQL, several at once."""
    with (
        writer_lock(engine),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        note_begun(engine)
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Change state; one at a time over all processes."""
    with appending(engine) as connection:
        lock_writers(connection)
        yield connection
