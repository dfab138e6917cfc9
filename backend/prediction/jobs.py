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

import json
import logging
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from backend.database.json_text import json_value
from backend.database.keys import ProjectKey
from backend.database.schema import jobs
from backend.prediction.job_counts import JobCounts
from backend.prediction.job_intake import JobIntake
from backend.prediction.job_leases import LONGEST_DELAY
from backend.prediction.job_rows import (
    MAX_BODY,
    MAX_READY,
    UNFINISHED,
    Job,
    JobState,
    as_words,
    batches,
    config_of,
    finished,
    first_within,
    name_of,
    of_project,
    of_project_or_all,
    wanted_of,
)
from backend.prediction.predict import Prediction

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5  # times a job may take its process down with it
ALONE = 2  # attempts after which a job is tried by itself, so that it takes no other with it
SENDING = 15.0  # seconds that Label Studio may go on saving after whoever sent it was killed


class Jobs(JobIntake, JobCounts):
    """The job list of one process. Safe to use from several threads."""

    def claim(self, limit: int) -> list[Job]:
        """Take the oldest waiting jobs of one project; they count as running from now on."""
        return self._claim("queued", limit)

    def claim_ready(self, limit: int) -> list[Job]:
        """Take predictions of one project that Label Studio should have but has not."""
        return self._claim("ready", limit)

    @staticmethod
    def is_alone(job: Job) -> bool:
        """Whether this job, just taken, has ended its process so often that it is tried alone."""
        return job.attempts > ALONE

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
                wanted = wanted_of(connection, key)
                if wanted is None or wanted == (first.version, first.config_hash):
                    break
                self._drop_unwanted(connection, key, *wanted)
            else:
                return []
            of_scope = (
                of_project(key)
                & (jobs.c.version == first.version)
                & (jobs.c.config_hash == first.config_hash)
            )
            if state == "queued":
                if first.attempts >= ALONE:
                    of_scope &= jobs.c.id == first.id
                else:
                    of_scope &= jobs.c.attempts < ALONE
            sizes = self._waiting(connection, state).where(of_scope).limit(limit)
            ids = first_within(
                MAX_READY if state == "ready" else MAX_BODY, connection.execute(sizes)
            )
            values: dict[str, Any] = {
                "owner": self._owners.own,
                "leased_until": now + self._lease,
            }
            if state == "queued":
                values |= {"state": "running", "attempts": jobs.c.attempts + 1}
            for some in batches(ids):
                self._set(connection, jobs.c.id.in_(some), **values)
            config = config_of(connection, first.config_hash)
            found: list[Job] = []
            for some in batches(ids):
                query = sa.select(jobs).where(jobs.c.id.in_(some)).order_by(jobs.c.id)
                for row in connection.execute(query):
                    prediction = None if row.prediction is None else json_value(row.prediction)
                    task = json_value(row.body)
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
            free = (jobs.c.state == "ready") & due & self._nobodys(now)
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
                of_project(key),
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
        answered: bool = True,
    ) -> None:
        """They are predicted, and to be delivered after ``delay`` seconds.

        Without an answer Label Studio may still be saving them; nobody looks before it has.
        """
        same: dict[str, Any] = {"saving_until": 0.0} if answered else {}
        with self._let_go([job for job, _ in pairs]), self._write() as connection:
            now = self._now(connection)
            values = [
                {
                    "job": job.id,
                    "prediction": json.dumps(prediction),
                    "reason": as_words(reason),
                    "attempts": attempts,
                    "not_before": now + delay,
                    "updated": now,
                }
                for job, prediction in pairs
            ]
            names = ("prediction", "reason", "attempts", "not_before", "updated")
            same |= {"state": "ready", "owner": None, "leased_until": 0.0}
            self._set_each(connection, values, names, **same)
        self.notify()

    def finish(self, some: Sequence[Job]) -> None:
        """They are in Label Studio."""
        with self._let_go(some), self._write() as connection:
            now = self._now(connection)
            for ids in batches([job.id for job in some]):
                self._set(connection, self._mine(ids), **finished(now))

    def fail(self, pairs: Sequence[tuple[Job, str]]) -> None:
        """They cannot be predicted, and why."""
        with self._let_go([job for job, _ in pairs]), self._write() as connection:
            now = self._now(connection)
            values = [
                {"job": job.id, "reason": as_words(reason), "updated": now} for job, reason in pairs
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
            for ids in batches([job.id for job in some]):
                self._give_back(connection, self._mine(ids), not_before=now + delay)
        self.notify()

    def sending(self, some: Sequence[Job], *, grace: float = SENDING) -> list[Job]:
        """Those that are still ours, renewed: they are sent to Label Studio now.

        Whatever becomes of this process or of the answer, Label Studio may save them within
        ``grace`` seconds, and whoever takes them next must not look before.
        """
        held: set[int] = set()
        with self._write() as connection:
            now = self._now(connection)
            for ids in batches([job.id for job in some]):
                self._set(
                    connection, self._mine(ids),
                    leased_until=now + self._lease, saving_until=now + min(grace, LONGEST_DELAY),
                )  # fmt: skip
                held |= set(
                    connection.execute(sa.select(jobs.c.id).where(self._mine(ids))).scalars()
                )
        lost = [job for job in some if job.id not in held]
        with self._let_go(lost):
            return [job for job in some if job.id in held]

    def retry_failed(self, project: ProjectKey | None = None) -> int:
        """Queue failed jobs again, of one project or of all; returns how many."""
        condition = (jobs.c.state == "failed") & of_project_or_all(project)
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
        condition = of_project(key) & (jobs.c.state == "ready") & (jobs.c.not_before > 0)
        with self._read() as connection:
            if connection.execute(sa.select(jobs.c.id).where(condition).limit(1)).first() is None:
                return
        with self._write() as connection:
            self._set(connection, condition & jobs.c.owner.is_(None), not_before=0.0)
        self.notify()

    def adopt(self, key: ProjectKey) -> None:
        """Jobs of this project from before anybody told its server are this server's."""
        nobodys = of_project(ProjectKey("", key.id))
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
