"""What is dropped of the store and what is worked out anew: nothing in it grows without end.

The inbox is only needed until an event is turned into state. Projects, tasks, annotations,
predictions and tombstones are kept for good; scores follow from them alone.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from backend.database import schema
from backend.database.changes import note_rebuilt
from backend.qa import state
from backend.qa.scoring import SCORING_VERSION
from backend.qa.times import later, now
from backend.qa.words import load_words

if TYPE_CHECKING:
    from backend.qa.store import Store

COMPACT_BATCH = 500  # events dropped in one transaction
MAX_FAILED = 10_000  # events kept that cannot be read
ENDED = "the process ended"  # begins the error of an event that was set aside for it
RECOMPUTE_BATCH = 100  # tasks in one transaction


@dataclass(frozen=True)
class Recomputed:
    """What ``recompute`` did."""

    retried: int  # events that could not be read before
    tasks: int  # with annotations
    before: int  # rows of scores
    after: int


def compact(store: "Store", keep_days: float) -> int:
    """Drop events that were turned into state longer ago than this; returns how many.

    What they led to stays, and is all that recomputing needs. Events that wait or could not be
    read stay, too; of the latter the newest ``MAX_FAILED``.
    """
    inbox = schema.inbox
    failed = sa.select(inbox.c.id).where(inbox.c.error.is_not(None)).order_by(inbox.c.id.desc())
    dropped = 0
    with store.read() as connection:
        oldest = connection.execute(failed.offset(MAX_FAILED).limit(1)).scalar()
    done = inbox.c.processed_at.is_not(None) & (
        (inbox.c.error.is_(None) & (inbox.c.processed_at < later(now(), -86400 * keep_days)))
        | (inbox.c.error.is_not(None) & (inbox.c.id <= (oldest or 0)))
    )
    some = sa.select(inbox.c.id).where(done).limit(COMPACT_BATCH)
    while not store.closed.is_set():
        with store.write() as connection:
            gone = connection.execute(inbox.delete().where(inbox.c.id.in_(some))).rowcount
            if gone:
                known = int(state.get_fact(connection, "events_dropped") or 0)
                state.put_fact(connection, "events_dropped", str(known + gone))
        dropped += gone
        if gone < COMPACT_BATCH:
            break
    return dropped


def recompute(store: "Store", *, again: bool = True) -> Recomputed:
    """Work out all scores anew from the state, and try events that could not be read again.

    Raises:
        SQLAlchemyError: the database cannot be written; what was recomputed until then stays.
    """
    inbox, scores, annotated = schema.inbox, schema.scores, schema.annotations.c
    retried = 0
    if again:
        with store.write() as connection:
            # An event that ended its process would do so again.
            failed = inbox.update().where(~inbox.c.error.startswith(ENDED))
            retried = connection.execute(failed.values(processed_at=None, error=None)).rowcount
        store.process_pending()
    load_words()
    with store.read() as connection:
        before = _score_count(connection)
        of_tasks = sa.select(annotated.server, annotated.task_id)
        of_tasks = of_tasks.where(annotated.task_id.is_not(None)).distinct()
        tasks = sorted((row.server, row.task_id) for row in connection.execute(of_tasks))
    for start in range(0, len(tasks), RECOMPUTE_BATCH):
        some = tasks[start : start + RECOMPUTE_BATCH]
        with store.write() as connection:
            for server in {server for server, _ in some}:
                ids = [task for name, task in some if name == server]
                theirs = sa.select(annotated.id).where(
                    annotated.server == server, annotated.task_id.in_(ids)
                )
                where = scores.c.server == server, scores.c.annotation_id.in_(theirs)
                connection.execute(scores.delete().where(*where))
                store.rescore(connection, server, ids)
    with store.write() as connection:
        its = annotated.server == scores.c.server, annotated.id == scores.c.annotation_id
        connection.execute(scores.delete().where(~sa.exists().where(*its)))
        note_rebuilt(connection)
        state.put_fact(connection, "scoring_version", SCORING_VERSION)
        state.put_fact(connection, "merged_at", now())
        after = _score_count(connection)
    return Recomputed(retried, len(tasks), before, after)


def _score_count(connection: sa.Connection) -> int:
    found = connection.execute(sa.select(sa.func.count()).select_from(schema.scores))
    return int(found.scalar_one())
