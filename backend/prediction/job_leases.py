"""Who works at which job: leases, and the connections that everything about jobs goes through."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from backend.database.engine import clock, let_go, migrate, open_engine, short
from backend.database.keys import ProjectKey
from backend.database.owners import Owners
from backend.database.schema import job_configs, job_projects, jobs
from backend.database.servers import MAX_PROJECTS
from backend.database.transactions import appending, reading
from backend.database.turns import alone
from backend.prediction.job_rows import MAX_BODIES, Job, batches
from videogem.errors import InputError

logger = logging.getLogger(__name__)

# Seconds without renewal after which a job is given to another process: with the time until that
# process looks, what a dead machine held is at work again within a minute.
LEASE = 45.0
LONGEST_DELAY = 3600.0  # seconds; a job that should wait longer was written by a wrong clock
KEEP_DONE = 7 * 86400.0  # seconds that finished jobs stay in the list
KEEP_FAILED = 30 * 86400.0
CLEAN_EVERY = 3600.0


class JobLeases:
    """What one process holds of the job list, renewed until it is let go of."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        lease: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        try:
            self._engine = open_engine(url)
            migrate(self._engine)
            self._owners = Owners(folder / "owners")
        except (OSError, sa.exc.OperationalError) as error:
            raise InputError(
                f"The job list cannot be written ({error}); set VIDEOGEM_DATA_DIR to a folder that "
                "can, or VIDEOGEM_DATABASE_URL to a database that can."
            ) from None
        self._lease = LEASE if lease is None else lease
        self._clock = clock
        self._held: set[int] = set()  # jobs whose leases are renewed
        self._held_lock = threading.Lock()
        self.changed = threading.Condition()
        self._cleaned = 0.0
        self._bodies = MAX_BODIES  # characters that may be in the list: looked at first
        self._closed = threading.Event()
        self.free_dead()
        self._renewer = threading.Thread(target=self._renew, name="job-leases", daemon=True)
        self._renewer.start()

    def close(self) -> None:
        """Give back what is held, and let go of the database."""
        self._closed.set()
        self._renewer.join(timeout=10)
        with self._held_lock:
            held = sorted(self._held)
        try:
            self._release(held)
        finally:
            self._owners.close()
            let_go(self._engine)

    def notify(self) -> None:
        """Wake this process's own workers; those of others look every second."""
        with self.changed:
            self.changed.notify_all()

    def _renew(self) -> None:
        while not self._closed.wait(self._lease / 4):
            with self._held_lock:
                held = sorted(self._held)
            try:
                if held:
                    with self._write() as connection:
                        now = self._now(connection)
                        for ids in batches(held):
                            self._set(connection, self._mine(ids), leased_until=now + self._lease)
                self.free_dead()
                self._clean()
            except (sa.exc.SQLAlchemyError, OSError) as error:
                logger.warning("leases of jobs could not be renewed: %s", short(error))
            except Exception:  # the top of a thread: without it all jobs would be taken away
                logger.exception("leases of jobs could not be renewed")

    def free_dead(self) -> None:
        """Give back what processes of this machine held that are gone: nobody waits for leases."""
        gone = self._owners.gone()
        if not gone:
            return
        with self._write() as connection:
            for owner in gone:
                self._end_lease(connection, owner)
        self._owners.forget(gone)
        self.notify()

    def _end_lease(self, connection: sa.Connection, owner: str) -> None:
        # Attempts stay: what its process died of may be one of these.
        self._set(connection, jobs.c.owner == owner, leased_until=0.0)

    def _release(self, ids: Sequence[int]) -> None:
        if not ids:
            return
        with self._write() as connection:
            for some in batches(ids):
                self._give_back(connection, self._mine(some))

    def _give_back(
        self, connection: sa.Connection, condition: sa.ColumnElement[bool], **values: Any
    ) -> None:
        running = jobs.c.state == "running"
        self._set(
            connection, condition & running,
            state="queued", owner=None, leased_until=0.0,
            attempts=sa.case((jobs.c.attempts > 0, jobs.c.attempts - 1), else_=0), **values,
        )  # fmt: skip
        self._set(connection, condition, owner=None, leased_until=0.0, **values)

    def _lapsed(self, now: float) -> sa.ColumnElement[bool]:
        # A lease that ends much later than any could was written by a wrong clock.
        return (jobs.c.leased_until <= now) | (jobs.c.leased_until > now + 10 * LEASE)

    def _nobodys(self, now: float) -> sa.ColumnElement[bool]:
        """Nobody holds it, and Label Studio is not saving it either."""
        # As with leases: a time much later than any could be was written by a wrong clock.
        saved = (jobs.c.saving_until <= now) | (jobs.c.saving_until > now + LONGEST_DELAY)
        return saved & (jobs.c.owner.is_(None) | self._lapsed(now))

    def _mine(self, ids: Sequence[int]) -> sa.ColumnElement[bool]:
        return jobs.c.id.in_(ids) & (jobs.c.owner == self._owners.own)

    def _hold(self, some: Iterable[Job]) -> None:
        with self._held_lock:
            self._held |= {job.id for job in some}

    @contextmanager
    def _let_go(self, some: Sequence[Job]) -> Iterator[None]:
        """Their leases are renewed no longer, also where noting what became of them fails."""
        try:
            yield
        finally:
            with self._held_lock:
                self._held -= {job.id for job in some}

    def _clean(self) -> None:
        """Forget what is long finished, and configs that no job is of."""
        if time.monotonic() - self._cleaned < CLEAN_EVERY and self._cleaned:
            return
        self._cleaned = time.monotonic()
        with alone(self._engine, "clean-jobs") as mine:
            if mine:
                self._drop_old()

    def _drop_old(self) -> None:
        with self._write() as connection:
            now = self._now(connection)
            for state, age in ("done", KEEP_DONE), ("failed", KEEP_FAILED):
                connection.execute(
                    jobs.delete().where(jobs.c.state == state, jobs.c.updated < now - age)
                )
            known = sa.select(sa.func.count()).select_from(job_projects)
            if connection.execute(known).scalar_one() > MAX_PROJECTS:
                its = (
                    jobs.c.server == job_projects.c.server,
                    jobs.c.project == job_projects.c.project,
                )
                connection.execute(job_projects.delete().where(~sa.exists().where(*its)))
            used = sa.select(jobs.c.config_hash)
            connection.execute(job_configs.delete().where(job_configs.c.hash.not_in(used)))

    # The database ------------------------------------------------------------------------------

    def _now(self, connection: sa.Connection) -> float:
        return clock(connection) if self._clock is None else self._clock()

    def _read(self) -> AbstractContextManager[sa.Connection]:
        return reading(self._engine)

    def _write(self) -> AbstractContextManager[sa.Connection]:
        return appending(self._engine)

    def _lock_project(self, connection: sa.Connection, key: ProjectKey) -> None:
        """Two requests at once must not claim the same new task."""
        if connection.dialect.name == "postgresql":
            number = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:7])
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))

    def _set(
        self, connection: sa.Connection, condition: sa.ColumnElement[bool], **values: Any
    ) -> int:
        return connection.execute(jobs.update().where(condition).values(**values)).rowcount

    def _set_each(
        self,
        connection: sa.Connection,
        rows: list[dict[str, Any]],
        names: Sequence[str],
        **same: Any,
    ) -> None:
        """Change jobs of ours, each its own way."""
        if not rows:
            return
        statement = (
            jobs.update()
            .where(jobs.c.id == sa.bindparam("job"), jobs.c.owner == self._owners.own)
            .values(**{name: sa.bindparam(name) for name in names}, **same)
        )
        connection.execute(statement, rows)
