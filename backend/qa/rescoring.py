"""Scores follow from the state: worked out anew for the tasks that a change touched, or for all."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from backend.database import schema
from backend.database.changes import note_changed, note_rebuilt
from backend.database.transactions import reading, writing
from backend.qa import state
from backend.qa.events import Changes, Row
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
    scores, annotated = schema.scores, schema.annotations.c
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
                ids = [task for name, task in some if name == server]
                theirs = sa.select(annotated.id).where(
                    annotated.server == server, annotated.task_id.in_(ids)
                )
                where = scores.c.server == server, scores.c.annotation_id.in_(theirs)
                connection.execute(scores.delete().where(*where))
                rescore(connection, server, ids)
    with writing(engine) as connection:
        its = annotated.server == scores.c.server, annotated.id == scores.c.annotation_id
        connection.execute(scores.delete().where(~sa.exists().where(*its)))
        note_rebuilt(connection)
        state.put_fact(connection, "scoring_version", SCORING_VERSION)
        state.put_fact(connection, "merged_at", now())
        after = _score_count(connection)
    return len(tasks), before, after


def rescore_if_outdated(engine: sa.Engine) -> None:
    """After a change of the rules: score everything, and try events that failed once more."""
    with reading(engine) as connection:
        if state.get_fact(connection, "scoring_version") == SCORING_VERSION:
            return
        any_known = connection.execute(sa.select(schema.annotations.c.id).limit(1)).first()
    if any_known is None:
        with writing(engine) as connection:
            state.put_fact(connection, "scoring_version", SCORING_VERSION)
        return
    with writing(engine) as connection:
        failed = schema.inbox.update().where(schema.inbox.c.error.is_not(None))
        connection.execute(failed.values(processed_at=None, error=None))
    rescore_all(engine)


def _score_count(connection: sa.Connection) -> int:
    found = connection.execute(sa.select(sa.func.count()).select_from(schema.scores))
    return int(found.scalar_one())
