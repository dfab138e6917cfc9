"""The job list: tasks that wait for a prediction, on disk so that a restart loses none.

| state | meaning |
|---|---|
| queued | waits for its turn |
| running | being grounded |
| ready | predicted, but not in Label Studio yet; handed over when it asks or can be reached |
| done | in Label Studio |
| failed | has a reason; tried again when Label Studio asks again, or on request |
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from backend.prediction.loading import Task
from backend.prediction.predict import Prediction
from videogem.errors import InputError

JobState = Literal["queued", "running", "ready", "done", "failed"]
STATES: tuple[JobState, ...] = ("queued", "running", "ready", "done", "failed")
KEEP_DONE = 7 * 86400.0  # seconds that finished jobs stay in the list
SHOWN_FAILURES = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS configs (project INTEGER PRIMARY KEY, config TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    project INTEGER NOT NULL,
    task INTEGER NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    prediction TEXT,
    not_before REAL NOT NULL DEFAULT 0,
    updated REAL NOT NULL,
    PRIMARY KEY (project, task, version)
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, not_before);
"""


@dataclass(frozen=True)
class Job:
    """One task's wish for a prediction of one version."""

    project: int
    task: Task
    version: str
    config: str
    attempts: int = 0
    prediction: Prediction | None = None

    @property
    def task_id(self) -> int:
        return int(self.task["id"])


class Jobs:
    """The job list in SQLite. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"The job list {path} cannot be written ({error}); set VIDEOGEM_DATA_DIR to a "
                "folder that can."
            ) from None
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        with self._lock:  # whatever ran when the process ended is done again
            self._connection.execute("UPDATE jobs SET state='queued' WHERE state='running'")
            self._connection.execute(
                "DELETE FROM jobs WHERE state='done' AND updated < ?", (time.time() - KEEP_DONE,)
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else reads or changes the list: for looking first and claiming then."""
        with self._lock:
            yield

    def enqueue(
        self, project: int, config: str, version: str, tasks: Iterable[Task], *, delay: float = 0.0
    ) -> None:
        """Add tasks; those that wait already keep their place, failed and done ones start anew."""
        self._insert(project, config, version, tasks, "queued", delay=delay)

    def _insert(
        self,
        project: int,
        config: str,
        version: str,
        tasks: Iterable[Task],
        state: JobState,
        *,
        delay: float = 0.0,
    ) -> None:
        now = time.time()
        rows = [
            (project, int(task["id"]), version, state, json.dumps(_needed(task)), now + delay, now)
            for task in tasks
        ]
        if not rows:
            return
        with self.changed, self._transaction():
            self._connection.execute(
                "INSERT INTO configs VALUES (?, ?) ON CONFLICT (project) "
                "DO UPDATE SET config = excluded.config",
                (project, config),
            )
            self._connection.executemany(
                "INSERT INTO jobs (project, task, version, state, body, not_before, updated) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project, task, version) "
                "DO UPDATE SET state=excluded.state, reason=NULL, attempts=0, body=excluded.body, "
                "prediction=NULL, not_before=excluded.not_before, updated=excluded.updated "
                "WHERE jobs.state IN ('failed', 'done')",
                rows,
            )
            self.changed.notify_all()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def claim(self, limit: int) -> list[Job]:
        """Take the oldest waiting jobs of one project; they count as running from now on."""
        now = time.time()
        with self._lock:
            first = self._connection.execute(
                "SELECT project, version FROM jobs WHERE state='queued' AND not_before <= ? "
                "ORDER BY updated, task LIMIT 1",
                (now,),
            ).fetchone()
            if first is None:
                return []
            rows = self._connection.execute(
                "SELECT task, body, attempts, config FROM jobs JOIN configs USING (project) "
                "WHERE state='queued' AND project=? AND version=? AND not_before <= ? "
                "ORDER BY updated, task LIMIT ?",
                (*first, now, limit),
            ).fetchall()
            jobs = [
                Job(first[0], json.loads(body), first[1], config, attempts)
                for _, body, attempts, config in rows
            ]
            self._set(jobs, "running")
            return jobs

    def claim_ready(self, limit: int) -> list[Job]:
        """Take predictions of one project that Label Studio should have but has not.

        They count as running, so that a request of Label Studio does not hand them over as well.
        """
        now = time.time()
        with self._lock:
            first = self._connection.execute(
                "SELECT project, version FROM jobs WHERE state='ready' AND not_before <= ? "
                "ORDER BY updated LIMIT 1",
                (now,),
            ).fetchone()
            if first is None:
                return []
            rows = self._connection.execute(
                "SELECT body, config, attempts, prediction FROM jobs JOIN configs USING (project) "
                "WHERE state='ready' AND project=? AND version=? AND not_before <= ? LIMIT ?",
                (*first, now, limit),
            ).fetchall()
            jobs = [
                Job(first[0], json.loads(body), first[1], config, attempts, json.loads(prediction))
                for body, config, attempts, prediction in rows
            ]
            self._set(jobs, "running")
            return jobs

    def finish(self, job: Job) -> None:
        """It is in Label Studio."""
        self._update(job, "done", reason=None, prediction=None)

    def keep(
        self, job: Job, prediction: Prediction, *, reason: str | None, delay: float = 0.0
    ) -> None:
        """It is predicted but Label Studio cannot be given it yet."""
        self._update(job, "ready", reason=reason, prediction=prediction, delay=delay)

    def fail(self, job: Job, reason: str) -> None:
        """It cannot be predicted, and why."""
        self._update(job, "failed", reason=reason, prediction=None)

    def requeue(self, jobs: Sequence[Job], *, delay: float = 0.0) -> None:
        """Put back what still counts as running: the model is not loaded yet, or we stumbled."""
        not_before = time.time() + delay
        with self.changed, self._transaction():
            self._connection.executemany(
                "UPDATE jobs SET state='queued', not_before=? "
                "WHERE state='running' AND project=? AND task=? AND version=?",
                [(not_before, job.project, job.task_id, job.version) for job in jobs],
            )
            self.changed.notify_all()

    def begin(self, project: int, config: str, version: str, tasks: Sequence[Task]) -> None:
        """Claim tasks for a request that predicts them itself; nobody else does them meanwhile."""
        self._insert(project, config, version, tasks, "running")

    def state(self, project: int, task: int, version: str) -> tuple[JobState, float] | None:
        """State of one job and when it got there (Unix time); None where there is none."""
        with self._lock:
            row = self._connection.execute(
                "SELECT state, updated FROM jobs WHERE project=? AND task=? AND version=?",
                (project, task, version),
            ).fetchone()
        return (row[0], row[1]) if row else None

    def take_ready(self, project: int, task: int, version: str) -> Prediction | None:
        """Hand a kept prediction over to Label Studio, which asks for it just now."""
        with self._lock:
            row = self._connection.execute(
                "SELECT prediction FROM jobs WHERE project=? AND task=? AND version=? "
                "AND state='ready'",
                (project, task, version),
            ).fetchone()
            if row is None:
                return None
            self.finish(Job(project, {"id": task}, version, ""))
            prediction: Prediction = json.loads(row[0])
            return prediction

    def retry_failed(self, project: int | None = None) -> int:
        """Queue failed jobs again; returns how many."""
        with self.changed:
            cursor = self._connection.execute(
                "UPDATE jobs SET state='queued', reason=NULL, attempts=0, not_before=0, updated=? "
                "WHERE state='failed' AND (? IS NULL OR project=?)",
                (time.time(), project, project),
            )
            self.changed.notify_all()
            return cursor.rowcount

    def wake(self, project: int) -> None:
        """Try to deliver a project's finished predictions now: its Label Studio is there."""
        with self.changed:
            cursor = self._connection.execute(
                "UPDATE jobs SET not_before=0 WHERE state='ready' AND not_before>0 AND project=?",
                (project,),
            )
            if cursor.rowcount:
                self.changed.notify_all()

    def counts(self, project: int | None = None) -> dict[int, dict[JobState, int]]:
        """Number of jobs by project and state."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT project, state, COUNT(*) FROM jobs WHERE ? IS NULL OR project=? "
                "GROUP BY project, state ORDER BY project",
                (project, project),
            ).fetchall()
        counts: dict[int, dict[JobState, int]] = {}
        for number, state, count in rows:
            counts.setdefault(number, dict.fromkeys(STATES, 0))[state] = count
        return counts

    def failures(self, project: int | None = None) -> list[dict[str, Any]]:
        """The latest failed jobs, with their reasons."""
        with self._lock, closing(self._connection.cursor()) as cursor:
            rows = cursor.execute(
                "SELECT project, task, version, reason, updated FROM jobs WHERE state='failed' "
                "AND (? IS NULL OR project=?) ORDER BY updated DESC LIMIT ?",
                (project, project, SHOWN_FAILURES),
            ).fetchall()
        names = ("project", "task", "model_version", "reason", "time")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def next_due(self) -> float | None:
        """When the next waiting or undelivered job may be taken (Unix time)."""
        with self._lock:
            row = self._connection.execute(
                "SELECT MIN(not_before) FROM jobs WHERE state IN ('queued', 'ready')"
            ).fetchone()
        return None if row[0] is None else float(row[0])

    def _set(self, jobs: Sequence[Job], state: JobState, *, not_before: float = 0.0) -> None:
        now = time.time()
        with self._transaction():
            self._connection.executemany(
                "UPDATE jobs SET state=?, not_before=?, updated=MAX(updated, ?) "
                "WHERE project=? AND task=? AND version=?",
                [(state, not_before, now, job.project, job.task_id, job.version) for job in jobs],
            )

    def _update(
        self,
        job: Job,
        state: JobState,
        *,
        reason: str | None,
        prediction: Prediction | None,
        delay: float = 0.0,
    ) -> None:
        now = time.time()
        with self._lock:
            self._connection.execute(
                "UPDATE jobs SET state=?, reason=?, prediction=?, attempts=attempts+1, "
                "not_before=?, updated=? WHERE project=? AND task=? AND version=?",
                (
                    state,
                    reason,
                    None if prediction is None else json.dumps(prediction),
                    now + delay,
                    now,
                    job.project,
                    job.task_id,
                    job.version,
                ),
            )


def _needed(task: Task) -> Task:
    """What predicting needs of a task; annotations and earlier predictions can be large."""
    return {"id": task["id"], "data": task.get("data") or {}}
