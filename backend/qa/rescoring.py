"""Scores follow from the state: worked out anew for the tasks that a change touched, or for all."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from backend.database import schema
from backend.database.changes import note_changed, note_rebuilt
from backend.database.transactions import reading, writing
from backend.qa import state
from backend.qa.events import Changes, Row
from backend.qa.facts import put_fact
from backend.qa.scoring import SCORING_VERSION, score_task
from backend.qa.times import now
from backend.qa.words import load_words

AT_ONCE = 500  # tasks in one query
RECOMPUTE_BATCH = 100  # tasks in one transaction


@dataclass(frozen=True)
class Recomputed:
    """What working out all scores anew did."""

    retried: int  # events that could not be read before
    tasks: int  # with annotations
    before: int  # rows of scores
    after: int


def merge_predictions(
    connection: sa.Connection, server: str, rows: list[Row], received_at: str
) -> None:
    """Bring predictions into the state and the scores, within a transaction of ``writing``."""
    annotated = schema.annotations.c
    touched = sorted(state.merge(connection, server, Changes(predictions=rows), received_at))
    for start in range(0, len(touched), AT_ONCE):
        some = touched[start : start + AT_ONCE]
        # Without annotations there is nothing to score.
        query = sa.select(annotated.task_id).distinct()
        query = query.where(annotated.server == server, annotated.task_id.in_(some))
        rescore(connection, server, connection.execute(query).scalars().all())


def rescore(connection: sa.Connection, server: str, task_ids: Iterable[int]) -> None:
    """Work out the scores of some tasks anew, within a transaction of ``writing``."""
    task_ids, scores = sorted(task_ids), schema.scores
    note_changed(connection, server, task_ids)
    deleted = state.gone_projects(connection, server)
    task_ids = sorted(state.with_scores(connection, server, task_ids))
    # First all of them: an annotation may have moved from one task to another.
    for task_id in task_ids:
        where = scores.c.server == server, scores.c.task_id == task_id
        connection.execute(scores.delete().where(*where))
    for task_id in task_ids:
        task, annotations, predictions = state.load_task(connection, server, task_id)
        gone = task is not None and task["deleted_at"] is not None
        annotations = [a for a in annotations if a["project_id"] not in deleted]
        rows = [] if gone else score_task(task, annotations, predictions)
        if rows:
            connection.execute(scores.insert(), [{"server": server, **row} for row in rows])


def rescore_all(engine: sa.Engine) -> tuple[int, int, int]:
    """Work out all scores anew; returns the tasks with annotations, the rows before and after.

    Raises:
        SQLAlchemyError: the database cannot be written; what was scored until then stays.
    """
    annotated = schema.annotations.c
    load_words()
    with reading(engine) as connection:
        before = _score_count(connection)
        of_tasks = sa.select(annotated.server, annotated.task_id)
        of_tasks = of_tasks.where(annotated.task_id.is_not(None)).distinct()
        tasks = sorted((row.server, row.task_id) for row in connection.execute(of_tasks))
    for start in range(0, len(tasks), RECOMPUTE_BATCH):
        some = tasks[start : start + RECOMPUTE_BATCH]
        with writing(engine) as connection:
            for server in {server for server, _ in some}:
                rescore_whole(connection, server, [task for name, task in some if name == server])
    with writing(engine) as connection:
        drop_left_over(connection)
        note_rebuilt(connection)
        put_fact(connection, "scoring_version", SCORING_VERSION)
        put_fact(connection, "merged_at", now())
        after = _score_count(connection)
    return len(tasks), before, after


def rescore_whole(connection: sa.Connection, server: str, task_ids: list[int]) -> None:
    """The same as ``rescore`` for tasks some of whose scores may stand under another task."""
    scores, annotated = schema.scores, schema.annotations.c
    theirs = sa.select(annotated.id).where(
        annotated.server == server, annotated.task_id.in_(task_ids)
    )
    # As a join PostgreSQL may go through all scores for each task: it keeps the plan that it made
    # when the tables were small or unknown to it.
    ids = connection.execute(theirs).scalars().all()
    for start in range(0, len(ids), AT_ONCE):
        where = scores.c.server == server, scores.c.annotation_id.in_(ids[start : start + AT_ONCE])
        connection.execute(scores.delete().where(*where))
    rescore(connection, server, task_ids)


def drop_left_over(connection: sa.Connection) -> None:
    """Take out scores of annotations that are not there any more."""
    scores, annotated = schema.scores, schema.annotations.c
    its = annotated.server == scores.c.server, annotated.id == scores.c.annotation_id
    gone = ~sa.exists().where(*its)
    found = sa.select(scores.c.server, scores.c.task_id).where(gone).distinct()
    by_server: dict[str, list[int]] = {}
    for row in connection.execute(found):
        by_server.setdefault(row.server, []).append(row.task_id)
    for server, tasks in by_server.items():
        note_changed(connection, server, tasks)
    connection.execute(scores.delete().where(gone))


def _score_count(connection: sa.Connection) -> int:
    found = connection.execute(sa.select(sa.func.count()).select_from(schema.scores))
    return int(found.scalar_one())
