"""Merging rows into the state: any order, any number of times, the same result.

Rows carry the version of what they describe and replace only older ones. Deletions leave a
tombstone, so that an event that comes late cannot bring a deleted annotation back. What decides is
the order of arrival and Label Studio's own times among each other, never its clock against ours: a
thing that was created after the last change of the buried one is another with the same id (a new
Label Studio starts counting again). What Label Studio's API lists is alive and as it lists it,
whatever was told before it was asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from backend.database import schema
from backend.qa.events import Changes, Row
from backend.qa.known_predictions import put_predictions

AT_ONCE = 500  # keys in one statement
ROWS_AT_ONCE = 100  # whole rows in memory


class Listing(NamedTuple):
    """A look at Label Studio's API: when it began, and what was known then (versions by id)."""

    at: str
    projects: Mapping[int, str]
    tasks: Mapping[int, str]
    annotations: Mapping[int, str]

    def overrules(self, table: sa.Table, existing: Row | None, row: Mapping[str, Any]) -> bool:
        """Whether what was known is of a later time than what is listed, and no event has told so
        meanwhile: a clock was wrong, or the event was.
        """
        known: Mapping[int, str] = getattr(self, table.name)
        return (
            existing is not None
            and existing["version"] == known.get(row["id"])
            and time_of(existing) > time_of(row)
        )


def time_of(row: Mapping[str, Any]) -> str:
    """When what a row says was changed last."""
    return str(row["version"]).split(" ")[0]


def merge(
    connection: sa.Connection,
    server: str,
    changes: Changes,
    received_at: str,
    listing: Listing | None = None,
) -> set[int]:
    """Apply changes of one server; the ids of its tasks whose scores they touch.

    What a ``listing`` gave brings back what was buried before it.
    """
    touched: set[int] = set()
    for project in changes.projects:
        touched |= _put_project(connection, {"server": server, **project}, listing)
    put = connection, server, received_at, listing
    touched |= _put_newer(*put, schema.tasks, changes.tasks)
    touched |= put_predictions(connection, server, changes.predictions)
    touched |= _put_newer(*put, schema.annotations, changes.annotations)
    for annotation_id in changes.deleted_annotations:
        touched |= _bury(connection, schema.annotations, server, annotation_id, received_at)
    for task_id in changes.deleted_tasks:
        touched |= _bury(connection, schema.tasks, server, task_id, received_at)
    return touched


def bury_project(
    connection: sa.Connection, server: str, project: int, received_at: str
) -> set[int]:
    """Take a project that Label Studio no longer has out of the figures; its rows stay."""
    table = schema.projects
    if _get(connection, table, server, project) is None:
        row = {"server": server, "id": project, "title": "", "label_config": "", "version": ""}
        connection.execute(table.insert().values(**row))
    where = table.c.server == server, table.c.id == project
    connection.execute(table.update().where(*where).values(deleted_at=received_at))
    return tasks_of(connection, server, project)


def note_sync(
    connection: sa.Connection,
    server: str,
    project: int,
    error: str | None,
    at: str,
    begun: float | None = None,
) -> None:
    """Keep why a project's last sync failed, for the page; None: it did not, and when it began."""
    table = schema.projects
    where = table.c.server == server, table.c.id == project
    agreed = {"synced_at": at, "sync_begun": begun} if error is None else {}
    values = {"sync_error": error} | agreed
    connection.execute(table.update().where(*where).values(**values))


def tasks_of(connection: sa.Connection, server: str, project: int) -> set[int]:
    """Ids of all tasks of a project that are known by themselves or by an annotation."""
    found: set[int] = set()
    for column, table in (
        (schema.tasks.c.id, schema.tasks),
        (schema.annotations.c.task_id, schema.annotations),
    ):
        where = table.c.server == server, table.c.project_id == project
        found |= set(connection.execute(sa.select(column).where(*where)).scalars())
    return found - {None}


def load_task(
    connection: sa.Connection, server: str, task_id: int
) -> tuple[Row | None, list[Row], list[Row]]:
    """A task with its annotations and predictions."""
    task = _get(connection, schema.tasks, server, task_id)
    annotations, predictions = (
        [
            dict(row)
            for row in connection.execute(
                sa.select(table).where(table.c.server == server, table.c.task_id == task_id)
            ).mappings()
        ]
        for table in (schema.annotations, schema.predictions)
    )
    return task, annotations, predictions


def with_scores(connection: sa.Connection, server: str, task_ids: Sequence[int]) -> set[int]:
    """Those of some tasks that have annotations, or scores of annotations that they had."""
    found: set[int] = set()
    for start in range(0, len(task_ids), AT_ONCE):
        some = task_ids[start : start + AT_ONCE]
        for table in schema.annotations, schema.scores:
            where = table.c.server == server, table.c.task_id.in_(some)
            found |= set(connection.execute(sa.select(table.c.task_id).where(*where)).scalars())
    return found


def gone_projects(connection: sa.Connection, server: str) -> set[int]:
    """Projects of a server that were deleted there."""
    table = schema.projects
    query = sa.select(table.c.id).where(table.c.server == server, table.c.deleted_at.is_not(None))
    return set(connection.execute(query).scalars())


def _get(connection: sa.Connection, table: sa.Table, server: str, row_id: int) -> Row | None:
    query = sa.select(table).where(table.c.server == server, table.c.id == row_id)
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def _update(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    # As parameters and not as parts of the statement, which lives on until garbage is looked for.
    keys = [column.name for column in table.primary_key]
    where = [table.c[name] == sa.bindparam(f"of_{name}") for name in keys]
    values = [{**row, **{f"of_{name}": row[name] for name in keys}} for row in rows]
    connection.execute(table.update().where(*where), values)


def _put_project(connection: sa.Connection, row: Row, listing: Listing | None) -> set[int]:
    """Keep a project; what is told of one that counted as deleted shows that it is there."""
    existing = _get(connection, schema.projects, row["server"], row["id"])
    back = existing is not None and existing["deleted_at"] is not None
    own = ("sync_error", "synced_at", "sync_begun")  # ours, not Label Studio's
    known = {} if existing is None else {name: existing[name] for name in own}
    overruled = listing is not None and listing.overrules(schema.projects, existing, row)
    newer = _newer(existing, {**row, "deleted_at": None, **known}, overruled=overruled)
    if existing is None:
        connection.execute(schema.projects.insert(), newer)
    elif newer != existing:
        _update(connection, schema.projects, [newer])
    return tasks_of(connection, row["server"], row["id"]) if back else set()


def _put_newer(
    connection: sa.Connection,
    server: str,
    received_at: str,
    listing: Listing | None,
    table: sa.Table,
    rows: Sequence[Row],
) -> set[int]:
    """Keep what tasks or annotations say that is new, as if one after the other; the tasks whose
    scores that touches.
    """
    touched: set[int | None] = set()
    task_id = "id" if table is schema.tasks else "task_id"
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        query = sa.select(table).where(table.c.server == server)
        query = query.where(table.c.id.in_({row["id"] for row in some}))
        known = {row["id"]: dict(row) for row in connection.execute(query).mappings()}
        before, changed = set(known), set()
        for row in some:
            existing = known.get(row["id"])
            overruled = listing is not None and listing.overrules(table, existing, row)
            told = _alive(table, existing, {"server": server, **row}, received_at, listing)
            newer = _newer(existing, told, overruled=overruled)
            if newer != existing:
                touched |= {row[task_id], existing[task_id] if existing else None}
                known[row["id"]] = newer
                changed.add(row["id"])
        if new := [known[each] for each in sorted(changed - before)]:
            connection.execute(table.insert(), new)
        if old := [known[each] for each in sorted(changed & before)]:
            _update(connection, table, old)
    return {each for each in touched if each is not None}


def _alive(
    table: sa.Table,
    existing: Row | None,
    row: Mapping[str, Any],
    received_at: str,
    listing: Listing | None,
) -> Row:
    """The row with the tombstone it stays under, if any."""
    deleted_at = existing["deleted_at"] if existing else None
    if existing is not None and deleted_at is not None:
        last_change = time_of(existing)
        another = bool(last_change) and row["created_at"] > last_change
        # One that is later than this moment was written by a wrong clock, so before.
        meanwhile = listing is not None and listing.at <= deleted_at <= received_at
        if another or (listing is not None and not meanwhile):
            deleted_at = None
    columns: Row = {name: value for name, value in row.items() if name in table.c}
    return {**columns, "deleted_at": deleted_at}


def _newer(existing: Row | None, row: Row, *, overruled: bool) -> Row:
    """What is to be kept of what is known and what is told, whose version counts unless what is
    known is ``overruled``.
    """
    if existing is None:
        return row
    revived = existing.get("deleted_at") != row.get("deleted_at")
    is_older = row["version"] < existing["version"] and not overruled
    older, newer = (row, existing) if is_older else (existing, row)
    new: Row = {**newer, "deleted_at": row.get("deleted_at")} if revived else dict(newer)
    for name in ("project_id", "task_id"):  # not every event says where a thing belongs
        if name in new and new[name] is None:
            new[name] = older[name]
    return new


def _bury(
    connection: sa.Connection, table: sa.Table, server: str, row_id: int, received_at: str
) -> set[int]:
    """Leave a tombstone; the task whose scores change with it."""
    existing = _get(connection, table, server, row_id)
    if existing is None:
        empty: Row = {"server": server, "id": row_id, "version": "", "deleted_at": received_at}
        empty |= {"data": {}} if table is schema.tasks else {"result": []}
        connection.execute(table.insert().values(**empty))
        return {row_id} if table is schema.tasks else set()  # its annotations may be known
    if existing["deleted_at"] is None:
        _update(connection, table, [{**existing, "deleted_at": received_at}])
    task_id = row_id if table is schema.tasks else existing["task_id"]
    return set() if task_id is None else {task_id}
