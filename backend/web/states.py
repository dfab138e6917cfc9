"""How each part of the backend does, in words: for `/health?details` and `videogem doctor`.

A thread looks every few seconds and keeps what it found, so that whoever asks never waits for a
database, a disk or a Label Studio that does not answer.
"""

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import DatabaseBusyError, lock_writers, open_engine, patience
from backend.database.replicas import Replica
from backend.label_studio.client import CHECK_URL, LabelStudio, LabelStudioError
from backend.label_studio.connections import Connections
from backend.qa.spool import MEGABYTE, Spool
from videogem.errors import InputError

if TYPE_CHECKING:
    from backend.web.service import Service

logger = logging.getLogger(__name__)

Level = Literal["ok", "warning", "failure"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "failure")
LOW_DISK = 2**30  # bytes
LOOK_S = 5.0  # between two looks at what is on this machine
ASK_S = 60.0  # between two questions to a Label Studio that nobody called meanwhile
SLOW_S = 2.0  # seconds of an answer that users will notice
LOCK_S = 0.3  # seconds for the database until it counts as locked
ASK_TIMEOUT = (2, 10)  # seconds to connect, and for the answer
OLD_JOB_S = 3600.0  # seconds without any change after which the job list seems to stand still


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
        folder.mkdir(parents=True, exist_ok=True)
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
        with patience(LOCK_S), engine.connect() as connection, connection.begin():
            connection.execute(sa.text("SELECT 1"))
    except (sa.exc.SQLAlchemyError, OSError) as error:
        fix = "Start it, or check VIDEOGEM_DATABASE_URL; events are kept in the spool meanwhile."
        return Check(name, "failure", f"{shown} cannot be read: {_line(error)}", fix)
    try:
        with (
            patience(LOCK_S),
            engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            lock_writers(connection)
    except DatabaseBusyError:
        return Check(name, "ok", f"{shown}, being written")
    except (sa.exc.SQLAlchemyError, OSError) as error:
        fix = (
            "If it stays so: another program holds it, or it is read-only; events are kept in the "
            "spool meanwhile."
        )
        return Check(name, "warning", f"{shown} cannot be written now: {_line(error)}", fix)
    return Check(name, "ok", shown)


def spooled(spool: Spool | None) -> Check:
    """What waits outside the database."""
    name = "spool"
    if spool is None or not spool.holds():
        return Check(name, "ok", "empty", numbers={"entries": 0, "bytes": 0})
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
    for row in rows:
        if row.sync_error is not None:
            words = f"{row.server}: {row.sync_error}"
            yield Check(f"project {row.id}: sync", "warning", words, fix)
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
    ago = f"{max(0.0, time.time() - seen.at):.0f} s ago"
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


class States:
    """What a running service last found of its parts."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._found: tuple[Check, ...] = ()
        self._at = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="states", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._end.set()

    def as_json(self) -> dict[str, Any]:
        """The worst level, when was looked, and all checks."""
        checks = [*self._found, *self._at_hand()]
        worst = max((check.level for check in checks), key=LEVELS.index, default="ok")
        age = time.monotonic() - self._at if self._at else None
        return {
            "level": worst,
            "looked_seconds_ago": None if age is None else round(age, 1),
            "checks": [check.as_json() for check in checks],
        }

    def _at_hand(self) -> Iterator[Check]:
        """What is known without waiting for anything."""
        service = self._service
        status = service.models.default.status
        if status.state == "failed":
            yield Check("model", "failure", status.error or "failed", "See `videogem models`.")
        else:
            yield Check("model", "ok", f"{status.version}: {status.state}")
        for name, server in service.connections.servers().items():
            yield label_studio(name, server)
        for key, hook in service.webhooks.states.all().items():
            level: Level = "warning" if hook.state == "failed" else "ok"
            yield Check(
                f"project {key.id}: webhook", level, f"{key.server}: {hook.words}".lstrip(": ")
            )

    def look(self) -> None:
        """Look at what may keep us waiting."""
        service = self._service
        found = [data_folder(service.settings.data_dir), database(service.store.engine)]
        found.append(spooled(service.store.spool))
        if found[1].level != "failure":
            service.webhooks.states.refresh()
            for look in (self._jobs, self._events, self._replicas):
                try:
                    found += look()
                except (sa.exc.SQLAlchemyError, OSError) as error:
                    found.append(Check("database", "warning", _line(error)))
        self._found, self._at = tuple(found), time.monotonic()

    def _jobs(self) -> list[Check]:
        with patience(LOCK_S):
            counts = self._service.jobs.counts()
            oldest = self._service.jobs.waiting_since()
        numbers: dict[str, float] = {}
        for of_project in counts.values():
            for state, count in of_project.items():
                numbers[state] = numbers.get(state, 0) + count
        words = ", ".join(f"{count:g} {state}" for state, count in numbers.items()) or "empty"
        if oldest is not None:
            numbers["oldest_seconds"] = round(oldest, 1)
            words += f"; the oldest that waits or is worked at has not changed for {oldest:.0f} s"
        still = oldest is not None and oldest > OLD_JOB_S
        fix = "See the log, and /jobs." if still or numbers.get("failed") else ""
        level: Level = "warning" if still or numbers.get("failed") else "ok"
        return [Check("job list", level, words, fix, numbers)]

    def _events(self) -> list[Check]:
        store = self._service.store
        with patience(LOCK_S):
            counts = store.inbox_counts()
            with store.read() as connection:
                return [inbox(counts), *projects_in_step(connection)]

    def _replicas(self) -> list[Check]:
        service, status = self._service, self._service.models.default.status
        try:
            service.replicas.tell(status.version, status.state)
        except sa.exc.SQLAlchemyError as error:  # what was found of the database says it already
            logger.debug("the other backends are not told: %s", error)
        return [sharing(service.replicas.all(), service.connections)]

    def _ask(self) -> None:
        """Call servers that nobody has called for a while."""
        for server in self._service.connections.servers().values():
            if server.seen is not None and time.time() - server.seen.at < ASK_S:
                continue
            path = "/api/current-user/whoami" if server.has_token else "/api/version"
            try:
                server.call("GET", path, timeout=ASK_TIMEOUT)
            except LabelStudioError as error:  # it is kept as what was last seen
                logger.debug("%s", error)

    def _work(self) -> None:
        ask = threading.Thread(target=self._often, args=(self._ask,), name="ask", daemon=True)
        ask.start()  # a server that does not answer must not make the rest old
        self._often(self.look)

    def _often(self, look: Callable[[], None]) -> None:
        while not self._end.is_set():
            try:
                look()
            except Exception:  # the top of a thread: the next round tries again
                logger.exception("the state of the backend could not be looked at")
            self._end.wait(LOOK_S)


def _line(error: BaseException) -> str:
    """An error in one line."""
    reason = str(getattr(error, "orig", None) or error)
    return reason.splitlines()[0] if reason else type(error).__name__
