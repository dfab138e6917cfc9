"""Opening the database: one engine, settings for SQLite, migrations."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from backend.database.json_text import json_text, json_value
from backend.folders import make_private
from videogem.errors import InputError

_ALEMBIC = threading.Lock()  # its context is one per process
WRITERS_LOCK = 863003  # any number that no other program on that PostgreSQL uses
WRITING_FOR = """
    SELECT extract(epoch FROM clock_timestamp() - xact_start)
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objid = :lock AND datname = current_database()
"""
LONGEST_WRITE_S = 300.0  # a webhook of 64 MB takes a fifth of it; a frozen backend holds on
PATIENCE = 30.0  # seconds that work in the background waits for others to let go of the database
CONNECT_S = 2  # seconds of the 3 that Label Studio waits for /setup; a dead machine never answers
SILENCE_S = 10.0  # seconds after which a connection without any answer is given up
SURELY_S = 0.7  # beyond a caller's patience until a silent server is looked into
OUTAGES = tuple(
    f"SQLITE_{name}"
    for name in ("BUSY", "LOCKED", "FULL", "IOERR", "READONLY", "CANTOPEN", "NOMEM", "PROTOCOL")
)
# PostgreSQL's: connection, transaction rolled back, no resources, shut down, its system's errors,
# read-only, lock not to be had.
STATES = ("08", "40", "53", "57P", "58", "25006", "55P03")
COMMON: dict[str, Any] = {
    "hide_parameters": True,
    "json_serializer": json_text,
    "json_deserializer": json_value,
}
_WRITERS: dict[str, "_Turn"] = {}
_patience: ContextVar[float] = ContextVar("patience", default=PATIENCE)
MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseBusyError(sa.exc.SQLAlchemyError):
    """Others in this process write for longer than this caller waits."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Wait at most about so long for locks of the database within: somebody waits for us.

    Within another ``patience`` the shorter one counts.
    """
    token = _patience.set(min(seconds, _patience.get()))
    try:
        yield
    finally:
        _patience.reset(token)


def current_patience() -> float:
    """Seconds that the caller may wait."""
    return _patience.get()


def short(error: BaseException) -> str:
    """An error in one line: where the database is gone it comes every second."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


def is_outage(error: BaseException) -> bool:
    """Whether the database is locked, full, read-only or gone, whatever it was asked for."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, DatabaseBusyError | sa.exc.PendingRollbackError)
    return (
        error.connection_invalidated
        or (
            isinstance(error, sa.exc.OperationalError)
            and getattr(error.orig, "sqlstate", "") is None
        )
        or getattr(error.orig, "sqlite_errorname", "").startswith(OUTAGES)
        or (getattr(error.orig, "sqlstate", None) or "").startswith(STATES)
    )


class _Turn:
    """A lock whose holder-to-be gives up when its patience ends.

    Its holder waits for other programs first, and has ``begun`` to write once they let it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self.waiting = 0  # threads
        self.begun = False

    def __enter__(self) -> None:
        if self._lock.acquire(blocking=False):
            return
        self._count(1)
        try:
            if not self._lock.acquire(timeout=_patience.get()):
                raise DatabaseBusyError("the database is being written by others")
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._counting:
            self.waiting += more

    def __exit__(self, *_: object) -> None:
        self.begun = False
        self._lock.release()


def open_engine(url: str) -> sa.Engine:
    """Engine for a database URL; SQLite gets write-ahead logging and full syncs.

    Full syncs make a committed row survive a power cut, not only the end of this process.

    Raises:
        InputError: the URL cannot be read or the database cannot be opened.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(
            "The database URL must look like sqlite:///qa.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from None
    if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")  # the driver this project installs
    if parsed.get_backend_name() == "postgresql":
        return _open_server(parsed)
    if parsed.get_backend_name() != "sqlite":
        raise InputError(
            "The quality store is in SQLite or PostgreSQL: the database URL must begin with "
            f"sqlite:/// or postgresql://, not {parsed.drivername}://."
        )
    if parsed.database in (None, "", ":memory:"):
        raise InputError("The quality store needs a file, such as sqlite:///qa.db, not memory.")
    make_private(Path(str(parsed.database)).expanduser().absolute().parent)
    parsed = parsed.set(database=str(Path(str(parsed.database)).expanduser()))
    engine = sa.create_engine(parsed, connect_args={"timeout": PATIENCE}, **COMMON)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def let_go(engine: sa.Engine) -> None:
    """Close an engine's connections for good, and those that others use once they give them back.

    ``dispose`` alone leaves the latter open until they are collected as garbage.
    """
    sa.event.listen(engine, "checkin", _close)
    engine.dispose()


def _close(_connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
    record.close()


def _open_server(url: sa.URL) -> sa.Engine:
    given = {"connect_timeout": CONNECT_S, "tcp_user_timeout": int(1000 * SILENCE_S)}
    options = {name: value for name, value in given.items() if name not in url.query}
    try:
        engine = sa.create_engine(
            url, pool_pre_ping=True, connect_args=options, pool_timeout=CONNECT_S, **COMMON
        )
    except (ImportError, sa.exc.NoSuchModuleError):
        raise InputError(
            f"{url.drivername} is no driver that is installed here; begin the database URL with "
            "postgresql://."
        ) from None
    _never_wait_in_vain(engine)
    sa.event.listen(engine, "begin", _begin_postgresql)
    return engine


def _never_wait_in_vain(engine: sa.Engine) -> None:
    from backend.database.silence import Server  # imports the driver, which SQLite does without

    server = Server(lambda: min(SILENCE_S, _patience.get() + SURELY_S))

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: list[Any], options: dict[str, Any]) -> Any:
        return server.connect(*args, **options)


def writer_lock(engine: sa.Engine) -> AbstractContextManager[Any]:
    """What this process's writers to one database hold.

    SQLite has one writer and polls for its turn; waiting here is fair and quick.
    """
    if engine.dialect.name != "sqlite":
        return nullcontext()
    return _WRITERS.setdefault(str(engine.url), _Turn())


def note_begun(engine: sa.Engine) -> None:
    """The holder of `writer_lock` has the database to itself from now on."""
    if (turn := _WRITERS.get(str(engine.url))) is not None:
        turn.begun = True


def others_wait(engine: sa.Engine) -> bool:
    """Whether a thread of this process waits until the holder of `writer_lock` lets go of it."""
    turn = _WRITERS.get(str(engine.url))
    return turn is not None and turn.waiting > 0


def is_being_written(engine: sa.Engine) -> bool:
    """Whether a writer has an SQLite database to itself in this process, or a PostgreSQL database
    in any, for no longer than writes take; who merely waits does not count.

    Raises:
        SQLAlchemyError: PostgreSQL does not tell.
    """
    if engine.dialect.name == "sqlite":
        turn = _WRITERS.get(str(engine.url))
        return turn is not None and turn.begun
    with engine.connect() as connection:
        seconds = connection.execute(sa.text(WRITING_FOR), {"lock": WRITERS_LOCK}).scalar()
    return seconds is not None and seconds < LONGEST_WRITE_S


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late for a lock
    for pragma in "journal_mode=WAL", "synchronous=FULL":
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer that starts as a reader fails with "database is locked" instead of waiting.
    connection.exec_driver_sql(f"PRAGMA busy_timeout={int(1000 * _patience.get())}")
    immediate = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _begin_postgresql(connection: sa.Connection) -> None:
    if (seconds := _patience.get()) < PATIENCE:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(1000 * seconds)}")


def lock_writers(connection: sa.Connection) -> None:
    """Wait until no other process changes the state; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"))


def clock(connection: sa.Connection) -> float:
    """Unix time; PostgreSQL's own, since the clocks of several machines differ."""
    if connection.dialect.name == "postgresql":
        query = sa.text("SELECT extract(epoch FROM clock_timestamp())")
        return float(connection.execute(query).scalar_one())
    return time.time()


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
