"""Opening the database: one engine, settings for SQLite, migrations."""

import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from videogem.errors import InputError

_ALEMBIC = threading.Lock()  # its context is one per process
WRITERS_LOCK = 863003  # any number that no other program on that PostgreSQL uses
_WRITERS: dict[str, threading.Lock] = {}
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str) -> sa.Engine:
    """Engine for a database URL; SQLite gets write-ahead logging and full syncs.

    Full syncs make a committed row survive a power cut, not only the end of this process.

    Raises:
        InputError: the URL cannot be read or the database cannot be opened.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(
            "The database URL must look like sqlite:///qa.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from None
    if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")  # the driver this project installs
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database in (None, "", ":memory:"):
        raise InputError("The quality store needs a file, such as sqlite:///qa.db, not memory.")
    Path(str(parsed.database)).expanduser().absolute().parent.mkdir(parents=True, exist_ok=True)
    parsed = parsed.set(database=str(Path(str(parsed.database)).expanduser()))
    engine = sa.create_engine(parsed, connect_args={"timeout": 30}, hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def writer_lock(engine: sa.Engine) -> AbstractContextManager[Any]:
    """What this process's writers to one database hold.

    SQLite has one writer and polls for its turn; waiting here is fair and quick.
    """
    if engine.dialect.name != "sqlite":
        return nullcontext()
    return _WRITERS.setdefault(str(engine.url), threading.Lock())


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late for a lock
    for pragma in "journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000":
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer that starts as a reader fails with "database is locked" instead of waiting.
    immediate = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def lock_writers(connection: sa.Connection) -> None:
    """Wait until no other process changes the state; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"))


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the tables up to date; safe when several processes start at once."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with (
        _ALEMBIC,
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(863002)"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
