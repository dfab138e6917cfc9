"""The job list: tasks that wait for a prediction, in the database so that a restart loses none.

| state | meaning |
|---|---|
| queued | waits for its turn |
| running | being predicted, by the process that holds its lease |
| ready | predicted, but not in Label Studio yet; handed over when it asks or can be reached |
| done | in Label Studio |
| failed | has a reason; tried again when Label Studio asks again, or on request |

Several processes share one list. Whoever works at a job holds a lease on it and renews it; the
lease of a process that ended, or that can no longer renew, ends by itself, and the job is taken by
another. A change by somebody who lost the lease changes nothing.

A job is of one labeling config and one model version. When its project asks for another (it was
set up again, its config was changed, the backend runs another model) the job is dropped: a
prediction never gets the name of a version it was not made with.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from backend.database.engine import migrate, open_engine, writer_lock
from backend.database.keys import ProjectKey
from backend.database.owners import Owners
from backend.database.schema import job_configs, job_projects, jobs
from backend.prediction.loading import Task
from backend.prediction.predict import Prediction
from videogem.errors import InputError

logger = logging.getLogger(__name__)

JobState = Literal["queued", "running", "ready", "done", "failed"]
STATES: tuple[JobState, ...] = ("queued", "running", "ready", "done", "failed")
UNFINISHED = ("queued", "running", "ready")
LEASE = 60.0  # seconds without renewal after which a job is given to another process
MAX_ATTEMPTS = 5  # times a job may take its process down with it
ALONE = 2  # attempts after which a job is tried by itself, so that it takes no other with it
LONGEST_DELAY = 3600.0  # seconds; a job that should wait longer was written by a wrong clock
KEEP_DONE = 7 * 86400.0  # seconds that finished jobs stay in the list
KEEP_FAILED = 30 * 86400.0
CLEAN_EVERY = 3600.0
SENDING = 15.0  # seconds that Label Studio may go on saving after whoever sent it was killed
SHOWN_FAILURES = 200
MAX_BODY = 16 * 1024 * 1024  # characters of a task's data
MAX_READY = 16 * 1024 * 1024  # characters of the predictions that are taken for delivery at once
AT_ONCE = 500  # ids in one statement


@dataclass(frozen=True)
class Job:
    """One task's wish for a prediction of one version."""

    id: int
    key: ProjectKey
    task: Task
    version: str
    config: str
    attempts: int = 0
    prediction: Prediction | None = None

    @property
    def task_id(self) -> int:
        return int(self.task["id"])


@dataclass(frozen=True)
class Claimed:
    """What a request that predicts by itself may do with its tasks.

    ``jobs`` are its own from now on; ``kept`` are predictions that waited to be asked for;
    ``pending`` are done by somebody else.
    """

    jobs: dict[int, Job]
    kept: dict[int, Prediction]
    pending: set[int]


class Jobs:
    """The job list of one process. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        lease: float = LEASE,
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
        self._write_lock = writer_lock(self._engine)
        self._lease = lease
        self._clock = clock
        self._held: set[int] = set()  # jobs whose leases are renewed
        self._held_lock = threading.Lock()
        self.changed = threading.Condition()
        self._cleaned = 0.0
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
            self._engine.dispose()

    # What a project asks for -----------------------------------------------------------------

    def announce(self, key: ProjectKey, config: str, version: str) -> int:
        """Tell what a project asks for now; jobs of anything else are dropped. Returns how many."""
        wanted = (version, config_hash(config))
        with self._read() as connection:
            if _wanted(connection, key) == wanted:
                return 0
        with self._write() as connection:
            return self._announce(connection, key, *wanted)

    def _announce(
        self, connection: sa.Connection, key: ProjectKey, version: str, hashed: str
    ) -> int:
        if _wanted(connection, key) == (version, hashed):
            return 0
        row = {"server": key.server, "project": key.id, "version": version, "config_hash": hashed}
        _upsert(connection, job_projects, [row], ("server", "project"), ("version", "config_hash"))
        gone = connection.execute(
            jobs.delete().where(
                _of(key),
                jobs.c.state != "done",
                (jobs.c.version != version) | (jobs.c.config_hash != hashed),
            )
        ).rowcount
        if gone:
            logger.warning(
                "project %s: %d jobs dropped, their labeling config or model version is no longer "
                "the current one (%s)", name_of(key), gone, version or "a config that cannot work",
            )  # fmt: skip
        return gone

    def drop(self, some: Sequence[Job], why: str) -> None:
        """Forget jobs that nobody wants any more."""
        with self._let_go(some), self._write() as connection:
            for ids in _batches([job.id for job in some]):
                connection.execute(jobs.delete().where(jobs.c.id.in_(ids)))
        if some:
            logger.warning("project %s: %d jobs dropped: %s", name_of(some[0].key), len(some), why)

    def drop_project(self, key: ProjectKey, why: str) -> None:
        """Forget all unfinished jobs of a project."""
        with self._write() as connection:
            gone = connection.execute(
                jobs.delete().where(_of(key), jobs.c.state.in_(UNFINISHED))
            ).rowcount
        if gone:
            logger.warning("project %s: %d jobs dropped: %s", name_of(key), gone, why)

    # Putting tasks in --------------------------------------------------------------------------

    def enqueue(
        self,
        key: ProjectKey,
        config: str,
        version: str,
        tasks: Iterable[Task],
        *,
        delay: float = 0.0,
    ) -> None:
        """Add tasks; those that wait already keep their place, failed and done ones start anew.

        A task too large to be kept is failed at once, with that reason.
        """
        hashed = config_hash(config)
        bodies = {int(task["id"]): _body(task) for task in tasks}
        if not bodies:
            return
        with self._write() as connection:
            self._announce(connection, key, version, hashed)
            _put_config(connection, hashed, config)
            now = self._now(connection)
            rows = [
                _row(key, task, version, hashed, "queued", body, now=now, not_before=now + delay)
                for task, body in bodies.items()
            ]
            self._put(connection, [_if_small(row) for row in rows])
        self.notify()

    def _put(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        names = ("config_hash", "state", "owner", "leased_until", "attempts", "reason", "body",
                 "prediction", "not_before", "updated")  # fmt: skip
        _upsert(
            connection,
            jobs,
            rows,
            ("server", "project", "task", "version"),
            names,
            lambda new: (
                (jobs.c.state == "failed")
                | (jobs.c.state == "done")
                | (jobs.c.config_hash != new.config_hash)
            ),
        )

    def begin(
        self, key: ProjectKey, config: str, version: str, tasks: Sequence[Task], *, saving: float
    ) -> Claimed:
        """Claim tasks for a request that predicts them itself; nobody else does them meanwhile.

        Whatever was answered less than ``saving`` seconds ago may be on its way into Label
        Studio this moment: it is queued for later, when the runner looks before it saves.
        """
        hashed = config_hash(config)
        by_id = {int(task["id"]): task for task in tasks}
        kept: dict[int, Prediction] = {}
        pending: set[int] = set()
        again: list[int] = []
        with self._write() as connection:
            self._lock_project(connection, key)
            self._announce(connection, key, version, hashed)
            _put_config(connection, hashed, config)
            now = self._now(connection)
            for ids in _batches(list(by_id)):
                query = sa.select(
                    jobs.c.id, jobs.c.task, jobs.c.state, jobs.c.prediction, jobs.c.updated,
                    jobs.c.owner, self._lapsed(now).label("lapsed"),
                ).where(_of(key), jobs.c.version == version, jobs.c.task.in_(ids))  # fmt: skip
                for row in connection.execute(query.with_for_update()):
                    if row.state == "ready" and (row.owner is None or row.lapsed):
                        kept[row.task] = json.loads(row.prediction)
                    elif row.state in UNFINISHED:
                        pending.add(row.task)
                    elif row.state == "done" and 0 <= now - row.updated < saving:
                        pending.add(row.task)
                        again.append(row.task)
            mine = [task for task in by_id if task not in kept and task not in pending]
            if kept:
                self._set(
                    connection,
                    _of(key) & (jobs.c.version == version) & jobs.c.task.in_(sorted(kept)),
                    **_finished(now),
                )
            rows = [
                _row(key, task, version, hashed, "queued", _body(by_id[task]), now=now,
                     not_before=now + saving)
                for task in again
            ] + [
                _row(key, task, version, hashed, "running", _body(by_id[task]), now=now)
                | {"owner": self._owners.own, "leased_until": now + self._lease}
                for task in mine
            ]  # fmt: skip
            claimed: dict[int, Job] = {}
            if rows:
                self._put(connection, [_if_small(row) for row in rows])
            for ids in _batches(mine):
                query = sa.select(jobs.c.id, jobs.c.task).where(
                    _of(key), jobs.c.version == version, jobs.c.task.in_(ids)
                )
                for job_id, task in connection.execute(query):
                    claimed[task] = Job(job_id, key, by_id[task], version, config)
        self._hold(claimed.values())
        return Claimed(claimed, kept, pending)

    def take_over(self, old: Sequence[Mapping[str, Any]]) -> int:
        """Take in the jobs of another list (see ``old_jobs.py``); what is here already stays."""
        with self._write() as connection:
            now = self._now(connection)
            rows = []
            for each in old:
                hashed = config_hash(each["config"])
                _put_config(connection, hashed, each["config"])
                scope = each["key"], each["task"], each["version"], hashed
                row = _row(*scope, each["state"], each["body"], now=now)
                rows.append(row | {"prediction": each["prediction"], "reason": each["reason"]})
            if rows:
                _upsert(connection, jobs, rows, ("server", "project", "task", "version"), ())
        return len(rows)

    # Working -----------------------------------------------------------------------------------

    def claim(self, limit: int) -> list[Job]:
        """Take the oldest waiting jobs of one project; they count as running from now on."""
        return self._claim("queued", limit)

    def claim_ready(self, limit: int) -> list[Job]:
        """Take predictions of one project that Label Studio should have but has not."""
        return self._claim("ready", limit)

    def _claim(self, state: JobState, limit: int) -> list[Job]:
        with self._read() as connection:
            if connection.execute(self._waiting(connection, state).limit(1)).first() is None:
                return []
        with self._write() as connection:
            now = self._now(connection)
            if state == "queued":
                self._give_up(connection, now)
            while (first := self._first(connection, state)) is not None:
                key = ProjectKey(first.server, first.project)
                wanted = _wanted(connection, key)
                if wanted is None or wanted == (first.version, first.config_hash):
                    break
                self._drop_unwanted(connection, key, *wanted)
            else:
                return []
            of_scope = (
                _of(key)
                & (jobs.c.version == first.version)
                & (jobs.c.config_hash == first.config_hash)
            )
            if state == "queued":
                if first.attempts >= ALONE:
                    of_scope &= jobs.c.id == first.id
                else:
                    of_scope &= jobs.c.attempts < ALONE
            sizes = self._waiting(connection, state).where(of_scope).limit(limit)
            ids = _within(MAX_READY if state == "ready" else MAX_BODY, connection.execute(sizes))
            values: dict[str, Any] = {
                "owner": self._owners.own,
                "leased_until": now + self._lease,
            }
            if state == "queued":
                values |= {"state": "running", "attempts": jobs.c.attempts + 1}
            for some in _batches(ids):
                self._set(connection, jobs.c.id.in_(some), **values)
            config = _config(connection, first.config_hash)
            found: list[Job] = []
            for some in _batches(ids):
                query = sa.select(jobs).where(jobs.c.id.in_(some)).order_by(jobs.c.id)
                for row in connection.execute(query):
                    prediction = None if row.prediction is None else json.loads(row.prediction)
                    task = json.loads(row.body)
                    found.append(
                        Job(row.id, key, task, row.version, config, row.attempts, prediction)
                    )
        self._hold(found)
        return found

    def _waiting(self, connection: sa.Connection, state: JobState) -> sa.Select[Any]:
        """Jobs that may be taken now, the oldest first; with the number of characters they hold."""
        now = self._now(connection)
        due = (jobs.c.not_before <= now) | (jobs.c.not_before > now + LONGEST_DELAY)
        if state == "ready":
            free = (jobs.c.state == "ready") & (jobs.c.owner.is_(None) | self._lapsed(now)) & due
            size = jobs.c.prediction
        else:
            lapsed = (jobs.c.state == "running") & self._lapsed(now)
            free = ((jobs.c.state == "queued") & due) | lapsed
            size = jobs.c.body
        return (
            sa.select(jobs.c.id, sa.func.length(size).label("size"))
            .where(free)
            .order_by(jobs.c.id)
            .with_for_update(skip_locked=True)
        )

    def _first(self, connection: sa.Connection, state: JobState) -> Any:
        columns = (
            jobs.c.id, jobs.c.server, jobs.c.project, jobs.c.version, jobs.c.config_hash,
            jobs.c.attempts,
        )  # fmt: skip
        query = self._waiting(connection, state).with_only_columns(*columns).limit(1)
        return connection.execute(query).first()

    def _drop_unwanted(
        self, connection: sa.Connection, key: ProjectKey, version: str, hashed: str
    ) -> None:
        gone = connection.execute(
            jobs.delete().where(
                _of(key),
                jobs.c.state.in_(UNFINISHED),
                (jobs.c.version != version) | (jobs.c.config_hash != hashed),
            )
        ).rowcount
        logger.warning(
            "project %s: %d jobs dropped, the project asks for %s now", name_of(key), gone, version
        )

    def _give_up(self, connection: sa.Connection, now: float) -> None:
        """Jobs that ended their process as often as they may are failed, with the reason."""
        self._set(
            connection,
            (jobs.c.state == "running") & self._lapsed(now) & (jobs.c.attempts >= MAX_ATTEMPTS),
            state="failed",
            owner=None,
            updated=now,
            reason=f"The backend ended {MAX_ATTEMPTS} times while it predicted this task; see its "
            "log (memory?), then try again.",
        )

    def keep(
        self,
        pairs: Sequence[tuple[Job, Prediction]],
        *,
        reason: str | None = None,
        delay: float = 0.0,
        attempts: int = 0,
    ) -> None:
        """They are predicted, and to be delivered after ``delay`` seconds."""
        with self._let_go([job for job, _ in pairs]), self._write() as connection:
            now = self._now(connection)
            values = [
                {
                    "job": job.id,
                    "prediction": json.dumps(prediction),
                    "reason": _words(reason),
                    "attempts": attempts,
                    "not_before": now + delay,
                    "updated": now,
                }
                for job, prediction in pairs
            ]
            names = ("prediction", "reason", "attempts", "not_before", "updated")
            self._set_each(connection, values, names, state="ready", owner=None, leased_until=0.0)
        self.notify()

    def finish(self, some: Sequence[Job]) -> None:
        """They are in Label Studio."""
        with self._let_go(some), self._write() as connection:
            now = self._now(connection)
            for ids in _batches([job.id for job in some]):
                self._set(connection, self._mine(ids), **_finished(now))

    def fail(self, pairs: Sequence[tuple[Job, str]]) -> None:
        """They cannot be predicted, and why."""
        with self._let_go([job for job, _ in pairs]), self._write() as connection:
            now = self._now(connection)
            values = [
                {"job": job.id, "reason": _words(reason), "updated": now} for job, reason in pairs
            ]
            self._set_each(
                connection, values, ("reason", "updated"),
                state="failed", owner=None, leased_until=0.0, prediction=None,
            )  # fmt: skip

    def requeue(self, some: Sequence[Job], *, delay: float = 0.0) -> None:
        """Put back what was taken: the model is not loaded yet, or we stumbled.

        That counts as no attempt; what is predicted already stays so.
        """
        with self._let_go(some), self._write() as connection:
            now = self._now(connection)
            for ids in _batches([job.id for job in some]):
                self._give_back(connection, self._mine(ids), not_before=now + delay)
        self.notify()

    def sending(self, some: Sequence[Job], *, grace: float = SENDING) -> list[Job]:
        """Those that are still ours, renewed: they are sent to Label Studio now.

        If this process is killed meanwhile, Label Studio saves them all the same, and whoever
        takes them next must not look before it has, within ``grace`` seconds.
        """
        held: set[int] = set()
        with self._write() as connection:
            now = self._now(connection)
            for ids in _batches([job.id for job in some]):
                self._set(
                    connection, self._mine(ids),
                    leased_until=now + self._lease, not_before=now + min(grace, LONGEST_DELAY),
                )  # fmt: skip
                held |= set(
                    connection.execute(sa.select(jobs.c.id).where(self._mine(ids))).scalars()
                )
        lost = [job for job in some if job.id not in held]
        with self._let_go(lost):
            return [job for job in some if job.id in held]

    def retry_failed(self, project: int | None = None) -> int:
        """Queue failed jobs again; returns how many."""
        condition = jobs.c.state == "failed"
        if project is not None:
            condition &= jobs.c.project == project
        with self._write() as connection:
            now = self._now(connection)
            count = self._set(
                connection, condition,
                state="queued", reason=None, attempts=0, not_before=0.0, owner=None, updated=now,
            )  # fmt: skip
        self.notify()
        return count

    def wake(self, key: ProjectKey) -> None:
        """Try to deliver a project's finished predictions now: its Label Studio is there."""
        condition = _of(key) & (jobs.c.state == "ready") & (jobs.c.not_before > 0)
        with self._read() as connection:
            if connection.execute(sa.select(jobs.c.id).where(condition).limit(1)).first() is None:
                return
        with self._write() as connection:
            self._set(connection, condition & jobs.c.owner.is_(None), not_before=0.0)
        self.notify()

    def adopt(self, key: ProjectKey) -> None:
        """Jobs of this project from before anybody told its server are this server's."""
        nobodys = _of(ProjectKey("", key.id))
        with self._read() as connection:
            if connection.execute(sa.select(jobs.c.id).where(nobodys).limit(1)).first() is None:
                return
        with self._write() as connection:
            self._lock_project(connection, key)
            own = jobs.alias()
            there = sa.exists().where(
                own.c.server == key.server, own.c.project == key.id,
                own.c.task == jobs.c.task, own.c.version == jobs.c.version,
            )  # fmt: skip
            connection.execute(jobs.delete().where(nobodys, there))
            self._set(connection, nobodys, server=key.server)

    # Looking -----------------------------------------------------------------------------------

    def state(self, key: ProjectKey, task: int, version: str) -> JobState | None:
        """State of one job; None where there is none."""
        query = sa.select(jobs.c.state).where(
            _of(key), jobs.c.task == task, jobs.c.version == version
        )
        with self._read() as connection:
            found: JobState | None = connection.execute(query).scalar()
        return found

    def counts(self, project: int | None = None) -> dict[ProjectKey, dict[JobState, int]]:
        """Number of jobs by project and state."""
        query = sa.select(jobs.c.server, jobs.c.project, jobs.c.state, sa.func.count())
        query = query.group_by(jobs.c.server, jobs.c.project, jobs.c.state)
        if project is not None:
            query = query.where(jobs.c.project == project)
        counts: dict[ProjectKey, dict[JobState, int]] = {}
        with self._read() as connection:
            for server, number, state, count in connection.execute(
                query.order_by(jobs.c.server, jobs.c.project)
            ):
                key = ProjectKey(server, number)
                counts.setdefault(key, dict.fromkeys(STATES, 0))[state] = count
        return counts

    def failures(self, project: int | None = None) -> list[dict[str, Any]]:
        """The latest failed jobs, with their reasons."""
        query = sa.select(
            jobs.c.server, jobs.c.project, jobs.c.task,
            jobs.c.version.label("model_version"), jobs.c.reason, jobs.c.updated.label("time"),
        ).where(jobs.c.state == "failed")  # fmt: skip
        if project is not None:
            query = query.where(jobs.c.project == project)
        query = query.order_by(jobs.c.updated.desc()).limit(SHOWN_FAILURES)
        with self._read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def num_ready(self) -> int:
        """Predictions that are not in Label Studio yet."""
        query = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state == "ready")
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def notify(self) -> None:
        """Wake this process's own workers; those of others look every second."""
        with self.changed:
            self.changed.notify_all()

    # Leases ------------------------------------------------------------------------------------

    def _renew(self) -> None:
        while not self._closed.wait(self._lease / 4):
            with self._held_lock:
                held = sorted(self._held)
            try:
                if held:
                    with self._write() as connection:
                        now = self._now(connection)
                        for ids in _batches(held):
                            self._set(connection, self._mine(ids), leased_until=now + self._lease)
                self.free_dead()
                self._clean()
            except sa.exc.SQLAlchemyError as error:
                logger.warning("leases of jobs could not be renewed: %s", error)

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
            for some in _batches(ids):
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
        with self._write() as connection:
            now = self._now(connection)
            for state, age in ("done", KEEP_DONE), ("failed", KEEP_FAILED):
                connection.execute(
                    jobs.delete().where(jobs.c.state == state, jobs.c.updated < now - age)
                )
            used = sa.select(jobs.c.config_hash)
            connection.execute(job_configs.delete().where(job_configs.c.hash.not_in(used)))

    # The database ------------------------------------------------------------------------------

    def _now(self, connection: sa.Connection) -> float:
        """Unix time; PostgreSQL's own, since the clocks of several machines differ."""
        if self._clock is not None:
            return self._clock()
        if connection.dialect.name == "postgresql":
            query = sa.text("SELECT extract(epoch FROM clock_timestamp())")
            return float(connection.execute(query).scalar_one())
        return time.time()

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with (
            self._write_lock,
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

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


def config_hash(config: str) -> str:
    """What a labeling config is known by."""
    return hashlib.sha256(config.strip().encode()).hexdigest()


def name_of(key: ProjectKey) -> str:
    """A project, for people."""
    return f"{key.id} of {key.server}" if key.server else str(key.id)


def _of(key: ProjectKey) -> sa.ColumnElement[bool]:
    return (jobs.c.server == key.server) & (jobs.c.project == key.id)


def _wanted(connection: sa.Connection, key: ProjectKey) -> tuple[str, str] | None:
    """Version and config hash a project asks for; None where nobody has told."""
    row = connection.execute(
        sa.select(job_projects.c.version, job_projects.c.config_hash).where(
            job_projects.c.server == key.server, job_projects.c.project == key.id
        )
    ).first()
    return None if row is None else (row.version, row.config_hash)


def _config(connection: sa.Connection, hashed: str) -> str:
    query = sa.select(job_configs.c.text).where(job_configs.c.hash == hashed)
    return str(connection.execute(query).scalar_one())


def _put_config(connection: sa.Connection, hashed: str, config: str) -> None:
    _upsert(connection, job_configs, [{"hash": hashed, "text": config}], ("hash",), ())


def _upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: list[dict[str, Any]],
    unique: Sequence[str],
    updated: Sequence[str],
    where: Callable[[Any], sa.ColumnElement[bool]] | None = None,
) -> None:
    """Insert rows; of those that are there already the ``updated`` columns change."""
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement: Any = module.insert(table)
    if updated:
        statement = statement.on_conflict_do_update(
            index_elements=list(unique),
            set_={name: statement.excluded[name] for name in updated},
            where=None if where is None else where(statement.excluded),
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(unique))
    connection.execute(statement, rows)


def _row(
    key: ProjectKey,
    task: int,
    version: str,
    hashed: str,
    state: str,
    body: str,
    *,
    now: float,
    not_before: float = 0.0,
) -> dict[str, Any]:
    return {
        "server": key.server,
        "project": key.id,
        "task": task,
        "version": version,
        "config_hash": hashed,
        "state": state,
        "owner": None,
        "leased_until": 0.0,
        "attempts": 0,
        "reason": None,
        "body": body,
        "prediction": None,
        "not_before": not_before,
        "updated": now,
    }


def _finished(now: float) -> dict[str, Any]:
    """In Label Studio: what predicting needed is let go of."""
    return {
        "state": "done",
        "owner": None,
        "leased_until": 0.0,
        "reason": None,
        "prediction": None,
        "body": "{}",
        "updated": now,
    }


def _within(characters: int, rows: Iterable[Any]) -> list[int]:
    """Ids of the first rows that together hold so many characters; at least one."""
    ids: list[int] = []
    for row in rows:
        characters -= row.size or 0
        if ids and characters < 0:
            break
        ids.append(row.id)
    return ids


def _batches(ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), AT_ONCE):
        yield list(ids[start : start + AT_ONCE])


def _body(task: Task) -> str:
    """What predicting needs of a task; annotations and earlier predictions can be large."""
    return json.dumps({"id": task["id"], "data": task.get("data") or {}})


def _if_small(row: dict[str, Any]) -> dict[str, Any]:
    """The row, or what is left of it where the task's data would fill the database."""
    size = len(row["body"])
    if size <= MAX_BODY:
        return row
    reason = (
        f"The task has {size:,} characters of data, and {MAX_BODY:,} can be queued; refer to media "
        "by address instead of writing them into the task."
    )
    body = json.dumps({"id": row["task"], "data": {}})
    return row | {"state": "failed", "owner": None, "reason": reason, "body": body}


def _words(reason: str | None) -> str | None:
    """A reason as every database takes it."""
    return None if reason is None else reason.replace("\0", "")[:2000]
