"""Jobs come in: what a project asks for now, and the tasks it asks it for."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backend.database.json_text import json_value
from backend.database.keys import ProjectKey
from backend.database.schema import job_projects, jobs
from backend.prediction.job_leases import JobLeases
from backend.prediction.job_rows import (
    MAX_BODIES,
    UNFINISHED,
    Claimed,
    Job,
    batches,
    body_of,
    config_hash,
    finished,
    if_small,
    name_of,
    new_row,
    no_room,
    of_project,
    put_config,
    upsert,
    wanted_of,
)
from backend.prediction.predict import Prediction
from backend.prediction.task_fields import Task, id_of

logger = logging.getLogger(__name__)


class JobIntake(JobLeases):
    """Puts jobs in, and drops those that nobody asks for any more."""

    def announce(self, key: ProjectKey, config: str, version: str) -> int:
        """Tell what a project asks for now; jobs of anything else are dropped. Returns how many."""
        wanted = (version, config_hash(config))
        with self._read() as connection:
            if wanted_of(connection, key) == wanted:
                return 0
        with self._write() as connection:
            return self._announce(connection, key, *wanted)

    def _announce(
        self, connection: sa.Connection, key: ProjectKey, version: str, hashed: str
    ) -> int:
        if wanted_of(connection, key) == (version, hashed):
            return 0
        row = {"server": key.server, "project": key.id, "version": version, "config_hash": hashed}
        upsert(connection, job_projects, [row], ("server", "project"), ("version", "config_hash"))
        gone = connection.execute(
            jobs.delete().where(
                of_project(key),
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
            for ids in batches([job.id for job in some]):
                connection.execute(jobs.delete().where(jobs.c.id.in_(ids)))
        if some:
            logger.warning("project %s: %d jobs dropped: %s", name_of(some[0].key), len(some), why)

    def drop_project(self, key: ProjectKey, why: str) -> None:
        """Forget all unfinished jobs of a project."""
        with self._write() as connection:
            gone = connection.execute(
                jobs.delete().where(of_project(key), jobs.c.state.in_(UNFINISHED))
            ).rowcount
        if gone:
            logger.warning("project %s: %d jobs dropped: %s", name_of(key), gone, why)

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

        Tasks without an id of Label Studio's are left out.

        A task too large to be kept is failed at once, with that reason.
        """
        hashed = config_hash(config)
        bodies = {id: body_of(task) for task in tasks if (id := id_of(task)) is not None}
        if not bodies:
            return
        with self._write() as connection:
            self._announce(connection, key, version, hashed)
            put_config(connection, hashed, config)
            now = self._now(connection)
            rows = [
                new_row(key, task, version, hashed, "queued", body, now=now, not_before=now + delay)
                for task, body in bodies.items()
            ]
            self._put(connection, self._within_bounds(connection, rows))
        self.notify()

    def _within_bounds(
        self, connection: sa.Connection, rows: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The rows, without the data of tasks that the list has no room for."""
        rows = [if_small(row) for row in rows]
        coming = sum(len(row["body"]) for row in rows)
        self._bodies += coming
        if self._bodies > MAX_BODIES:  # of all that came; some of it may be done by now
            total = sa.func.coalesce(sa.func.sum(sa.func.length(jobs.c.body)), 0)
            self._bodies = coming + connection.execute(sa.select(total)).scalar_one()
            if self._bodies > MAX_BODIES:
                self._bodies -= coming
                return [no_room(row) for row in rows]
        return rows

    def _put(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        names = ("config_hash", "state", "owner", "leased_until", "attempts", "reason", "body",
                 "prediction", "not_before", "updated")  # fmt: skip
        upsert(
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
        Studio this moment: it is queued for later, when the runner looks before it saves. So may
        what was sent there without an answer: it is answered by the runner, too.
        """
        hashed = config_hash(config)
        by_id = {int(task["id"]): task for task in tasks}
        kept: dict[int, Prediction] = {}
        pending: set[int] = set()
        again: list[int] = []
        with self._write() as connection:
            self._lock_project(connection, key)
            self._announce(connection, key, version, hashed)
            put_config(connection, hashed, config)
            now = self._now(connection)
            for ids in batches(list(by_id)):
                query = sa.select(
                    jobs.c.id, jobs.c.task, jobs.c.state, jobs.c.prediction, jobs.c.updated,
                    self._nobodys(now).label("free"),
                ).where(
                    of_project(key), jobs.c.version == version, jobs.c.task.in_(ids)
                )  # fmt: skip
                for row in connection.execute(query.with_for_update()):
                    if row.state == "ready" and row.free:
                        kept[row.task] = json_value(row.prediction)
                    elif row.state in UNFINISHED:
                        pending.add(row.task)
                    elif row.state == "done" and 0 <= now - row.updated < saving:
                        pending.add(row.task)
                        again.append(row.task)
            mine = [task for task in by_id if task not in kept and task not in pending]
            if kept:
                self._set(
                    connection,
                    of_project(key) & (jobs.c.version == version) & jobs.c.task.in_(sorted(kept)),
                    **finished(now),
                )
            rows = [
                new_row(key, task, version, hashed, "queued", body_of(by_id[task]), now=now,
                     not_before=now + saving)
                for task in again
            ] + [
                new_row(key, task, version, hashed, "running", body_of(by_id[task]), now=now)
                | {"owner": self._owners.own, "leased_until": now + self._lease}
                for task in mine
            ]  # fmt: skip
            claimed: dict[int, Job] = {}
            if rows:
                self._put(connection, self._within_bounds(connection, rows))
            for ids in batches(mine):
                query = sa.select(jobs.c.id, jobs.c.task).where(
                    of_project(key), jobs.c.version == version, jobs.c.task.in_(ids)
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
                put_config(connection, hashed, each["config"])
                scope = each["key"], each["task"], each["version"], hashed
                row = new_row(*scope, each["state"], each["body"], now=now)
                rows.append(row | {"prediction": each["prediction"], "reason": each["reason"]})
            if rows:
                upsert(connection, jobs, rows, ("server", "project", "task", "version"), ())
        return len(rows)
