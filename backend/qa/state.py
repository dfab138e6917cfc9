"""Merging rows into the state: any order, any number of times, the same result.

Rows carry the version of what they describe and replace only older ones. Deletions leave a
tombstone, so that an event that comes late cannot bring a deleted annotation back; one that was
created after the deletion can, because a new Label Studio starts counting ids again.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from backend.database import schema
from backend.qa.events import Changes, Row
from backend.qa.times import later

CLOCK_SKEW_S = 60  # Label Studio's clock and ours may differ by this much


def merge(connection: sa.Connection, changes: Changes, received_at: str) -> set[int]:
    """Apply changes; the ids of the tasks whose scores they touch."""
    touched: set[int] = set()
    for project in changes.projects:
        _put_if_newer(connection, schema.projects, project)
    for task in changes.tasks:
        if _put_if_newer(connection, schema.tasks, _alive(connection, schema.tasks, task)):
            touched.add(task["id"])
    for prediction in changes.predictions:
        if _put_prediction(connection, prediction):
            touched.add(prediction["task_id"])
    for annotation in changes.annotations:
        row = _alive(connection, schema.annotations, annotation, keep=("created_at",))
        known = _get(connection, schema.annotations, row["id"])
        if _put_if_newer(connection, schema.annotations, row):
            touched |= {row["task_id"], known["task_id"] if known else None} - {None}
    for annotation_id in changes.deleted_annotations:
        touched |= _bury(connection, schema.annotations, annotation_id, received_at)
    for task_id in changes.deleted_tasks:
        touched |= _bury(connection, schema.tasks, task_id, received_at)
    return touched


def load_task(connection: sa.Connection, task_id: int) -> tuple[Row | None, list[Row], list[Row]]:
    """A task with its annotations and predictions."""
    task = _get(connection, schema.tasks, task_id)
    annotations, predictions = (
        [dict(r) for r in connection.execute(query).mappings()]
        for query in (
            sa.select(schema.annotations).where(schema.annotations.c.task_id == task_id),
            sa.select(schema.predictions).where(schema.predictions.c.task_id == task_id),
        )
    )
    return task, annotations, predictions


def put_fact(connection: sa.Connection, name: str, value: str) -> None:
    """Remember one named value."""
    connection.execute(schema.facts.delete().where(schema.facts.c.name == name))
    connection.execute(schema.facts.insert().values(name=name, value=value))


def get_fact(connection: sa.Connection, name: str) -> str | None:
    """A value remembered by ``put_fact``."""
    facts = schema.facts
    query = sa.select(facts.c.value).where(facts.c.name == name)
    found: str | None = connection.execute(query).scalar()
    return found


def _get(connection: sa.Connection, table: sa.Table, row_id: int) -> Row | None:
    row = connection.execute(sa.select(table).where(table.c.id == row_id)).mappings().first()
    return dict(row) if row else None


def _alive(
    connection: sa.Connection, table: sa.Table, row: Mapping[str, Any], keep: tuple[str, ...] = ()
) -> Row:
    """The row with the tombstone it stays under, if any."""
    existing = _get(connection, table, row["id"])
    deleted_at = existing["deleted_at"] if existing else None
    if deleted_at is not None and row["created_at"] > later(deleted_at, CLOCK_SKEW_S):
        deleted_at = None
    columns: Row = {k: v for k, v in row.items() if k != "created_at" or k in keep}
    return {**columns, "deleted_at": deleted_at}


def _put_if_newer(connection: sa.Connection, table: sa.Table, row: Row) -> bool:
    existing = _get(connection, table, row["id"])
    if existing is None:
        connection.execute(table.insert().values(**row))
        return True
    revived = existing.get("deleted_at") != row.get("deleted_at")
    older, newer = (row, existing) if row["version"] < existing["version"] else (existing, row)
    if revived:
        older, newer = existing, row
    new: Row = dict(newer)
    for name in ("project_id", "task_id"):  # not every event says where a thing belongs
        if name in new and new[name] is None:
            new[name] = older[name]
    if new == existing:
        return False
    connection.execute(table.update().where(table.c.id == row["id"]).values(**new))
    return True


def _put_prediction(connection: sa.Connection, row: Row) -> bool:
    table = schema.predictions
    query = sa.select(table).where(table.c.key == row["key"])
    existing = connection.execute(query).mappings().first()
    if existing is None:
        connection.execute(table.insert().values(**row))
        return True
    # Label Studio's copy is final, except that it may first be seen without a project.
    if existing["project_id"] is None and row["project_id"] is not None:
        values = {"project_id": row["project_id"]}
        connection.execute(table.update().where(table.c.key == row["key"]).values(**values))
    return False


def _bury(connection: sa.Connection, table: sa.Table, row_id: int, received_at: str) -> set[int]:
    """Leave a tombstone; the task whose scores change with it."""
    existing = _get(connection, table, row_id)
    if existing is None:
        empty: Row = {"id": row_id, "version": "", "deleted_at": received_at}
        empty |= {"data": {}} if table is schema.tasks else {"result": []}
        connection.execute(table.insert().values(**empty))
        return {row_id} if table is schema.tasks else set()  # its annotations may be known
    newest = later(received_at, CLOCK_SKEW_S)
    if existing["deleted_at"] is None and existing.get("created_at", "") <= newest:
        update = table.update().where(table.c.id == row_id)
        connection.execute(update.values(deleted_at=received_at))
    task_id = row_id if table is schema.tasks else existing["task_id"]
    return set() if task_id is None else {task_id}
