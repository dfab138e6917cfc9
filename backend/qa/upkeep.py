"""What is dropped of the inbox: nothing in the store grows without end.

The inbox is only needed until an event is turned into state. Projects, tasks, annotations,
predictions and tombstones are kept for good; scores follow from them alone.
"""

import threading

import sqlalchemy as sa

from backend.database import schema
from backend.database.transactions import reading, writing
from backend.qa.facts import get_fact, put_fact
from backend.qa.times import later, now

COMPACT_BATCH = 500  # events dropped in one transaction
MAX_FAILED = 10_000  # events kept that cannot be read
ENDED = "the process ended"  # begins the error of an event that was set aside for it


def compact(engine: sa.Engine, keep_days: float, stop: threading.Event | None = None) -> int:
    """Drop events that were turned into state longer ago than this; returns how many.

    What they led to stays, and is all that recomputing needs. Events that wait or could not be
    read stay, too; of the latter the newest ``MAX_FAILED``.
    """
    inbox = schema.inbox
    failed = sa.select(inbox.c.id).where(inbox.c.error.is_not(None)).order_by(inbox.c.id.desc())
    dropped = 0
    with reading(engine) as connection:
        oldest = connection.execute(failed.offset(MAX_FAILED).limit(1)).scalar()
    done = inbox.c.processed_at.is_not(None) & (
        (inbox.c.error.is_(None) & (inbox.c.processed_at < later(now(), -86400 * keep_days)))
        | (inbox.c.error.is_not(None) & (inbox.c.id <= (oldest or 0)))
    )
    some = sa.select(inbox.c.id).where(done).limit(COMPACT_BATCH)
    while stop is None or not stop.is_set():
        with writing(engine) as connection:
            gone = connection.execute(inbox.delete().where(inbox.c.id.in_(some))).rowcount
            if gone:
                known = int(get_fact(connection, "events_dropped") or 0)
                put_fact(connection, "events_dropped", str(known + gone))
        dropped += gone
        if gone < COMPACT_BATCH:
            break
    return dropped


def retry_failed(engine: sa.Engine) -> int:
    """Let events that could not be read wait once more; returns how many."""
    inbox = schema.inbox
    with writing(engine) as connection:
        # An event that ended its process would do so again.
        failed = inbox.update().where(~inbox.c.error.startswith(ENDED))
        return connection.execute(failed.values(processed_at=None, error=None)).rowcount
