"""What can be said of the job list: for its page, and for whoever waits for it."""

from typing import Any

import sqlalchemy as sa

from backend.database.keys import ProjectKey
from backend.database.schema import jobs
from backend.prediction.job_leases import JobLeases
from backend.prediction.job_rows import STATES, JobState, of_project, of_project_or_all
from backend.prediction.writing import NOT_IN_FRAME

SHOWN_FAILURES = 200


def not_in_frame(
    connection: sa.Connection, project: ProjectKey | None = None
) -> dict[ProjectKey, int]:
    """By project, failed tasks of which nothing said is shown (`model_presence_threshold`)."""
    query = sa.select(jobs.c.server, jobs.c.project, sa.func.count())
    query = query.where(
        jobs.c.state == "failed",
        jobs.c.reason.startswith(NOT_IN_FRAME, autoescape=True),
        of_project_or_all(project),
    )
    rows = connection.execute(query.group_by(jobs.c.server, jobs.c.project))
    return {ProjectKey(server, number): count for server, number, count in rows}


class JobCounts(JobLeases):
    """Looks at jobs, and changes none."""

    def state(self, key: ProjectKey, task: int, version: str) -> JobState | None:
        """State of one job; None where there is none."""
        query = sa.select(jobs.c.state).where(
            of_project(key), jobs.c.task == task, jobs.c.version == version
        )
        with self._read() as connection:
            found: JobState | None = connection.execute(query).scalar()
        return found

    def counts(self, project: ProjectKey | None = None) -> dict[ProjectKey, dict[JobState, int]]:
        """Number of jobs by project and state."""
        query = sa.select(jobs.c.server, jobs.c.project, jobs.c.state, sa.func.count())
        query = query.group_by(jobs.c.server, jobs.c.project, jobs.c.state)
        query = query.where(of_project_or_all(project))
        counts: dict[ProjectKey, dict[JobState, int]] = {}
        with self._read() as connection:
            for server, number, state, count in connection.execute(
                query.order_by(jobs.c.server, jobs.c.project)
            ):
                key = ProjectKey(server, number)
                counts.setdefault(key, dict.fromkeys(STATES, 0))[state] = count
        return counts

    def not_in_frame(self, project: ProjectKey | None = None) -> dict[ProjectKey, int]:
        """Of the failed jobs those that are none of a defect, see `not_in_frame`."""
        with self._read() as connection:
            return not_in_frame(connection, project)

    def waiting_since(self) -> float | None:
        """Seconds that the oldest queued or running job has not changed; None where none is."""
        query = sa.select(sa.func.min(jobs.c.updated)).where(
            jobs.c.state.in_(("queued", "running"))
        )
        with self._read() as connection:
            oldest = connection.execute(query).scalar()
            return None if oldest is None else max(0.0, self._now(connection) - oldest)

    def failures(self, project: ProjectKey | None = None) -> list[dict[str, Any]]:
        """The latest failed jobs, with their reasons."""
        query = sa.select(
            jobs.c.server, jobs.c.project, jobs.c.task,
            jobs.c.version.label("model_version"), jobs.c.reason, jobs.c.updated.label("time"),
        ).where(jobs.c.state == "failed", of_project_or_all(project))  # fmt: skip
        query = query.order_by(jobs.c.updated.desc()).limit(SHOWN_FAILURES)
        with self._read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def num_ready(self) -> int:
        """Predictions that are not in Label Studio yet."""
        return self._number("ready")

    def num_waiting(self) -> int:
        """Tasks that are not predicted yet."""
        return self._number("queued", "running")

    def _number(self, *states: JobState) -> int:
        query = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state.in_(states))
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())
