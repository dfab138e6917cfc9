"""Jobs as they lie in the database: rows, their limits, and the statements that several need."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from backend.database.keys import ProjectKey
from backend.database.schema import job_configs, job_projects, jobs
from backend.database.texts import storable
from backend.prediction.predict import Prediction
from backend.prediction.task_fields import Task

JobState = Literal["queued", "running", "ready", "done", "failed"]
STATES: tuple[JobState, ...] = ("queued", "running", "ready", "done", "failed")
UNFINISHED = ("queued", "running", "ready")
MAX_BODY = 16 * 1024 * 1024  # characters of a task's data
MAX_BODIES = 1024 * 1024 * 1024  # of all jobs together
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


def config_hash(config: str) -> str:
    """What a labeling config is known by."""
    return hashlib.sha256(config.strip().encode()).hexdigest()


def name_of(key: ProjectKey) -> str:
    """A project, for people."""
    return f"{key.id} of {key.server}" if key.server else str(key.id)


def of_project(key: ProjectKey) -> sa.ColumnElement[bool]:
    return (jobs.c.server == key.server) & (jobs.c.project == key.id)


def of_project_or_all(project: ProjectKey | None) -> sa.ColumnElement[bool]:
    """Jobs that somebody asks for; without a server the project of that number on any."""
    if project is None:
        return sa.true()
    return of_project(project) if project.server else jobs.c.project == project.id


def wanted_of(connection: sa.Connection, key: ProjectKey) -> tuple[str, str] | None:
    """Version and config hash a project asks for; None where nobody has told."""
    row = connection.execute(
        sa.select(job_projects.c.version, job_projects.c.config_hash).where(
            job_projects.c.server == key.server, job_projects.c.project == key.id
        )
    ).first()
    return None if row is None else (row.version, row.config_hash)


def config_of(connection: sa.Connection, hashed: str) -> str:
    query = sa.select(job_configs.c.text).where(job_configs.c.hash == hashed)
    return str(connection.execute(query).scalar_one())


def put_config(connection: sa.Connection, hashed: str, config: str) -> None:
    upsert(connection, job_configs, [{"hash": hashed, "text": config}], ("hash",), ())


def upsert(
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


def new_row(
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


def finished(now: float) -> dict[str, Any]:
    """In Label Studio: what predicting needed is let go of."""
    return {
        "state": "done",
        "owner": None,
        "leased_until": 0.0,
        "reason": None,
        "prediction": None,
        "body": "{}",
        "saving_until": 0.0,
        "updated": now,
    }


def first_within(characters: int, rows: Iterable[Any]) -> list[int]:
    """Ids of the first rows that together hold so many characters; at least one."""
    ids: list[int] = []
    for row in rows:
        characters -= row.size or 0
        if ids and characters < 0:
            break
        ids.append(row.id)
    return ids


def batches(ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), AT_ONCE):
        yield list(ids[start : start + AT_ONCE])


def body_of(task: Task) -> str:
    """What predicting needs of a task; annotations and earlier predictions can be large."""
    return json.dumps({"id": task["id"], "data": task.get("data") or {}})


def if_small(row: dict[str, Any]) -> dict[str, Any]:
    """The row, or what is left of it where the task's data would fill the database."""
    size = len(row["body"])
    if size <= MAX_BODY:
        return row
    reason = (
        f"The task has {size:,} characters of data, and {MAX_BODY:,} can be queued; refer to media "
        "by address instead of writing them into the task."
    )
    return _without_body(row, reason)


def no_room(row: dict[str, Any]) -> dict[str, Any]:
    """What is left of a row where all jobs together would fill the database."""
    return _without_body(
        row,
        f"The job list holds {MAX_BODIES:,} characters of tasks' data and takes no more; ask again "
        "when some of them are predicted.",
    )


def _without_body(row: dict[str, Any], reason: str) -> dict[str, Any]:
    body = json.dumps({"id": row["task"], "data": {}})
    return row | {"state": "failed", "owner": None, "reason": reason, "body": body}


def as_words(reason: str | None) -> str | None:
    """A reason as every database takes it."""
    return None if reason is None else storable(reason)
