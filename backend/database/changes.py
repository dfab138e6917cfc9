"""Which tasks' scores changed, and when: what is kept in memory of them follows by itself.

Every change of a task's scores takes the next number, in the transaction that makes it; writers
take turns over all processes, so that a number that is seen is never followed by a smaller one.
"""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from backend.database.schema import facts, score_changes

CHANGE, EPOCH = "figures_change", "figures_epoch"
AT_ONCE = 500  # tasks in one statement


def note_changed(connection: sa.Connection, server: str, task_ids: Collection[int]) -> None:
    """Say that the scores of these tasks are about to be others."""
    if not task_ids:
        return
    number = _next(connection, CHANGE)
    ids = sorted(task_ids)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        where = score_changes.c.server == server, score_changes.c.task_id.in_(some)
        connection.execute(score_changes.delete().where(*where))
        rows = [{"server": server, "task_id": task, "change": number} for task in some]
        connection.execute(score_changes.insert(), rows)


def note_rebuilt(connection: sa.Connection) -> None:
    """Say that all scores may be others."""
    _next(connection, EPOCH)


def state_of(connection: sa.Connection) -> tuple[int, int]:
    """The numbers of the last rebuilding and of the last change."""
    query = sa.select(facts.c.name, facts.c.value).where(facts.c.name.in_((EPOCH, CHANGE)))
    found = {row.name: int(row.value) for row in connection.execute(query)}
    return found.get(EPOCH, 0), found.get(CHANGE, 0)


def changed_since(connection: sa.Connection, number: int) -> Iterable[tuple[str, int, int]]:
    """Server, id and number of the tasks whose scores changed after a number."""
    c = score_changes.c
    query = sa.select(c.server, c.task_id, c.change).where(c.change > number)
    return [(row.server, row.task_id, row.change) for row in connection.execute(query)]


def _next(connection: sa.Connection, name: str) -> int:
    where = facts.c.name == name
    known = connection.execute(sa.select(facts.c.value).where(where)).scalar()
    number = int(known or 0) + 1
    if known is None:
        connection.execute(facts.insert().values(name=name, value=str(number)))
    else:
        connection.execute(facts.update().where(where).values(value=str(number)))
    return number
