"""The predictions of the state: which are kept, which count as in use, and how many there are."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from backend.database import schema
from backend.qa.events import Row
from backend.qa.facts import get_fact, put_fact

AT_ONCE = 500  # keys in one statement


def num_predictions(connection: sa.Connection) -> int:
    """How many predictions are known: one that was made here and came back from Label Studio with
    an id of its own is one. Counted as they come; all anew where that number was dropped.
    """
    known = get_fact(connection, schema.PREDICTIONS_KNOWN)
    return _num_predictions(connection) if known is None else int(known)


def _num_predictions(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    table = schema.predictions
    with_id = sa.func.count(table.c.label_studio_id)
    each = sa.case((with_id > 0, with_id), else_=sa.func.count()).label("known")
    alike = table.c.server, table.c.task_id, table.c.model_version
    of_each = sa.select(each).where(*where).group_by(*alike).subquery()
    total = sa.select(sa.func.coalesce(sa.func.sum(of_each.c.known), 0))
    return int(connection.execute(total).scalar_one())


def _num_of_tasks(connection: sa.Connection, server: str, tasks: Collection[int]) -> int:
    table, ids = schema.predictions, sorted(tasks)
    return sum(
        _num_predictions(
            connection,
            table.c.server == server,
            table.c.task_id.in_(ids[start : start + AT_ONCE]),
        )
        for start in range(0, len(ids), AT_ONCE)
    )


def put_predictions(connection: sa.Connection, server: str, predictions: Sequence[Row]) -> set[int]:
    """Keep those that are new, hundreds with one statement; the ids of their tasks."""
    table = schema.predictions
    new: dict[str, Row] = {}
    others: set[int] = set()  # tasks of those whose ids are another's now
    for start in range(0, len(predictions), AT_ONCE):
        some = predictions[start : start + AT_ONCE]
        others |= _drop_others(connection, server, some)
        query = sa.select(table.c.key, table.c.project_id).where(
            table.c.server == server, table.c.key.in_([row["key"] for row in some])
        )
        projects = {row.key: row.project_id for row in connection.execute(query)}
        for row in some:
            key, project = row["key"], row["project_id"]
            # Label Studio's copy is final, except that it may first be seen without a project.
            if key in new:
                if new[key]["project_id"] is None:
                    new[key]["project_id"] = project
            elif key not in projects:
                new[key] = {"server": server, **row}
            elif projects[key] is None and project is not None:
                connection.execute(
                    table.update()
                    .where(table.c.server == server, table.c.key == key)
                    .values(project_id=project)
                )
    if new:
        tasks = {row["task_id"] for row in new.values()}
        count = get_fact(connection, schema.PREDICTIONS_KNOWN)
        before = None if count is None else _num_of_tasks(connection, server, tasks)
        connection.execute(table.insert(), list(new.values()))
        if count is None or before is None:
            known = num_predictions(connection)
        else:
            known = int(count) + _num_of_tasks(connection, server, tasks) - before
        put_fact(connection, schema.PREDICTIONS_KNOWN, str(known))
    again = _use_again(connection, server, [row for row in predictions if row["key"] not in new])
    return {row["task_id"] for row in new.values()} | again | others


def _drop_others(connection: sa.Connection, server: str, rows: Sequence[Row]) -> set[int]:
    """Drop predictions whose ids were given to others later: a new Label Studio starts counting
    again. The tasks they were of.
    """
    table = schema.predictions
    told = {row["key"]: row for row in rows if row["label_studio_id"] is not None}
    query = sa.select(table.c.key, table.c.created_at)
    where = [table.c.server == server, table.c.key.in_(told)]
    known = connection.execute(query.where(*where)).all()
    later = [row.key for row in known if row.created_at < told[row.key]["created_at"]]
    if not later:
        return set()
    names = "task_id", "model_version", "result"
    where = [table.c.server == server, table.c.key.in_(later)]
    old = connection.execute(sa.select(table).where(*where)).mappings().all()
    gone = [row for row in old if any(row[name] != told[row["key"]][name] for name in names)]
    if gone:
        where = [table.c.server == server, table.c.key.in_([row["key"] for row in gone])]
        connection.execute(table.delete().where(*where))
        connection.execute(
            schema.facts.delete().where(schema.facts.c.name == schema.PREDICTIONS_KNOWN)
        )
    return {row["task_id"] for row in gone}


def _use_again(connection: sa.Connection, server: str, rows: Sequence[Row]) -> set[int]:
    """Predictions made here once more, after those of another version: the newest is what counts
    as in use. The tasks where that changed.
    """
    table = schema.predictions
    touched: set[int] = set()
    own = [row for row in rows if row["label_studio_id"] is None]
    for start in range(0, len(own), AT_ONCE):
        some = {row["key"]: row for row in own[start : start + AT_ONCE]}
        tasks = {row["task_id"] for row in some.values()}
        query = sa.select(table.c.task_id, table.c.model_version, table.c.created_at)
        known = connection.execute(
            query.where(table.c.server == server, table.c.task_id.in_(tasks))
        ).all()
        newest = {row.task_id: row for row in sorted(known, key=lambda row: row.created_at)}
        for row in some.values():
            last = newest.get(row["task_id"])
            if last is None or last.created_at >= row["created_at"]:
                continue
            if last.model_version == row["model_version"]:
                continue
            where = table.c.server == server, table.c.key == row["key"]
            connection.execute(table.update().where(*where).values(created_at=row["created_at"]))
            put_fact(connection, "merged_at", row["created_at"])
            touched.add(row["task_id"])
    return touched
