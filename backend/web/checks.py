"""One look at one part of the backend, in words: for `/health?details` and `videogem doctor`."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import (
    DatabaseBusyError,
    is_being_written,
    open_engine,
    patience,
)
from backend.database.replicas import Replica
from backend.database.transactions import reading, writing
from backend.folders import make_private
from backend.label_studio.client import CHECK_URL, LabelStudio
from backend.label_studio.connections import Connections
from backend.qa.spool import MEGABYTE, Spool
from videogem.errors import InputError

Level = Literal["ok", "warning", "failure"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "failure")
LOW_DISK = 2**30  # bytes
SLOW_S = 2.0  # seconds of an answer that users will notice
MOST_TOLD = 20  # projects that are told of one by one
LOCK_S = 0.3  # seconds for the database until it counts as locked


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and the setting that mends it."""

    name: str
    level: Level
    found: str
    fix: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def sharing(replicas: Sequence[Replica], connections: Connections) -> Check:
    """The backends on this database, and what only one of them can do."""
    name, count = "replicas", len(replicas)
    numbers = {"count": float(count)}
    if count < 2:
        return Check(name, "ok", "none but this one", numbers=numbers)
    words = f"{count} backends share this database: " + "; ".join(
        f"{each.version} {each.state} on {each.machine}" for each in replicas
    )
    if len({each.version for each in replicas}) > 1:
        fix = "Give all the same VIDEOGEM_MODEL, VIDEOGEM_METHOD and release: each drops the jobs "
        return Check(name, "warning", words, f"{fix}of the other versions.", numbers)
    if keyless := connections.without_key():
        fix = (
            f"Set VIDEOGEM_LABEL_STUDIO_API_KEY for {', '.join(keyless)}: without it only the "
            "backend that /setup came to can fetch and deliver."
        )
        return Check(name, "warning", words, fix, numbers)
    return Check(name, "ok", words, numbers=numbers)


def data_folder(folder: Path) -> Check:
    """Whether the data folder can be written, and how much room it has."""
    name = "data folder"
    try:
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(4096))
        free = shutil.disk_usage(folder).free
    except OSError as error:
        fix = "Set VIDEOGEM_DATA_DIR to a folder this user may write to, or free some space."
        words = f"{folder} cannot be written: {error.strerror or error}"
        return Check(name, "failure", words, fix)
    found, numbers = f"{folder}, {free / 2**30:.1f} GB free", {"free_bytes": float(free)}
    if free < LOW_DISK:
        fix = "Free some space, lower VIDEOGEM_CACHE_MB, or move VIDEOGEM_DATA_DIR."
        return Check(name, "warning", found, fix, numbers)
    return Check(name, "ok", found, numbers=numbers)


def database_at(url: str) -> Check:
    """Whether a database can be read and written; nothing is made where there is none yet."""
    parsed = sa.make_url(url)
    shown = parsed.render_as_string(hide_password=True)
    file = Path(str(parsed.database)).expanduser() if url.startswith("sqlite") else None
    if file is not None and not file.exists():
        if file.parent.is_dir():
            return Check("database", "ok", f"{shown}: not made yet")
        fix = "Set VIDEOGEM_DATABASE_URL, or VIDEOGEM_DATA_DIR, to a folder that exists."
        return Check("database", "failure", f"{shown}: there is no folder for it", fix)
    try:
        engine = open_engine(url)
    except (InputError, sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        return Check("database", "failure", f"{shown}: {error}", "Check VIDEOGEM_DATABASE_URL.")
    try:
        return database(engine)
    finally:
        engine.dispose()


def database(engine: sa.Engine) -> Check:
    """Whether a database can be read and written this moment."""
    name, shown = "database", engine.url.render_as_string(hide_password=True)
    try:
        with patience(LOCK_S), reading(engine) as connection:
            connection.execute(sa.text("SELECT 1"))
    except (sa.exc.SQLAlchemyError, OSError) as error:
        fix = "Start it, or check VIDEOGEM_DATABASE_URL; events are kept in the spool meanwhile."
        return Check(name, "failure", f"{shown} cannot be read: {one_line(error)}", fix)
    try:
        with patience(LOCK_S), writing(engine):
            pass
    except (sa.exc.SQLAlchemyError, OSError) as error:
        if _is_busy(engine):  # which ends
            return Check(name, "ok", f"{shown}, being written")
        waits = isinstance(error, DatabaseBusyError)
        reason = "it is locked, and this backend waits for it" if waits else one_line(error)
        fix = (
            "If it stays so: another program holds it, or it is read-only; events are kept in the "
            "spool meanwhile."
        )
        return Check(name, "warning", f"{shown} cannot be written now: {reason}", fix)
    return Check(name, "ok", shown)


def _is_busy(engine: sa.Engine) -> bool:
    try:
        with patience(LOCK_S):
            return is_being_written(engine)
    except (sa.exc.SQLAlchemyError, OSError):
        return False


def spooled(spool: Spool | None) -> Check:
    """What waits outside the database."""
    name = "spool"
    if spool is None or not spool.holds():
        numbers = {"entries": 0.0, "bytes": 0.0}
        if spool is None or spool.refused is None:
            return Check(name, "ok", "empty", numbers=numbers)
        words = f"what the database refused was put aside in {spool.refused}"
        fix = "Each line has its reason. Move the file away when it was looked at."
        return Check(name, "warning", words, fix, numbers)
    count, size = spool.num_entries(), spool.num_bytes()
    return Check(
        name,
        "warning",
        f"{count} events and predictions ({size / MEGABYTE:.1f} MB) wait for the database",
        "They are taken in as soon as the database can be written.",
        {"entries": count, "bytes": size},
    )


def projects_in_step(connection: sa.Connection) -> Iterator[Check]:
    """When projects last agreed with Label Studio, and those that could not be put right."""
    projects = schema.projects
    columns = projects.c.server, projects.c.id, projects.c.sync_error, projects.c.synced_at
    alive = projects.c.deleted_at.is_(None) | projects.c.sync_error.is_not(None)
    rows = connection.execute(sa.select(*columns).where(alive)).all()
    fix = "If the project is right as it is in Label Studio, see `videogem qa sync --help`."
    failed = [row for row in rows if row.sync_error is not None]
    for row in failed[:MOST_TOLD]:
        words = f"{row.server}: {row.sync_error}"
        yield Check(f"project {row.id}: sync", "warning", words, fix)
    if more := len(failed[MOST_TOLD:]):
        yield Check("projects: sync", "warning", f"{more} more are not in step", fix)
    times = [row.synced_at for row in rows if row.synced_at is not None]
    if times:
        yield Check("last sync", "ok", f"{max(times)} ({len(times)} projects)")


def inbox(counts: Mapping[str, int]) -> Check:
    """Events that wait to be counted, and those that cannot be read."""
    found = "{events} events kept, {waiting} waiting, {failed} that cannot be read".format(**counts)
    level: Level = "warning" if counts["failed"] else "ok"
    fix = (
        "See the log; they are kept, and tried again by the next version."
        if counts["failed"]
        else ""
    )
    return Check("events", level, found, fix, dict(counts))


def label_studio(name: str, server: LabelStudio) -> Check:
    """How a server answered when it was last called; this calls nobody."""
    title = f"Label Studio {name}"
    seen = server.seen
    if seen is None:
        return Check(title, "ok", "not called yet")
    ago = f"{time.monotonic() - seen.at:.0f} s ago"
    numbers = {"seconds": round(seen.took, 3)}
    error = seen.error
    words = f"{str(error).removesuffix(CHECK_URL).removesuffix('.')} ({ago})"  # the fix says it
    if error is not None and (error.status is None or error.status in (401, 403)):
        fix = "Check VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY."
        return Check(title, "failure", words, fix, numbers)
    if error is not None and error.status is not None and error.status >= 500:
        fix = "See Label Studio's own log; what it misses is delivered later."
        return Check(title, "failure", words, fix, numbers)
    if seen.took > SLOW_S:
        words = f"slow: the last answer took {seen.took:.1f} s ({ago})"
        return Check(title, "warning", words, "See Label Studio's own log.", numbers)
    return Check(title, "ok", f"answered in {seen.took:.2f} s ({ago})", numbers=numbers)


def one_line(error: BaseException) -> str:
    """An error in one line."""
    reason = str(getattr(error, "orig", None) or error)
    return reason.splitlines()[0] if reason else type(error).__name__
