"""After an update that counts otherwise all scores are worked out anew, behind who reads them.

A hundred thousand tasks take minutes. They are done a few at a time, beside webhooks and readers,
and what is done is noted with them: a process that ends meanwhile is followed by one that goes on.
Until the end some figures are still counted as before, which the pages say.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import others_wait
from backend.database.transactions import reading, writing
from backend.database.turns import alone, in_turn
from backend.qa.facts import get_fact, put_fact
from backend.qa.rescoring import drop_left_over, rescore_whole
from backend.qa.scoring import SCORING_VERSION
from backend.qa.times import now
from backend.qa.upkeep import retry_failed
from backend.qa.words import load_words

TURN = "recount"
FACT = "recounted"  # the version, tasks done, tasks in all, and the last one: id and server
AT_ONCE = 20  # tasks in one transaction at most
TURN_S = 0.02  # and its length; it ends sooner where somebody waits to write

Task = tuple[str, int]  # server, id


class Recount(NamedTuple):
    """How far it is."""

    done: int
    total: int
    last: Task = ("", -1)


def is_outdated(connection: sa.Connection) -> bool:
    """Whether scores were made by other rules than this code's."""
    return get_fact(connection, "scoring_version") != SCORING_VERSION


def has_reviews(engine: sa.Engine) -> bool:
    """Whether there is anything that counting anew would count."""
    with reading(engine) as connection:
        return connection.execute(sa.select(schema.annotations.c.id).limit(1)).first() is not None


def recount_of(connection: sa.Connection) -> Recount | None:
    """How far it is, None where nothing is counted anew."""
    version, *said = (get_fact(connection, FACT) or "").split(" ", 4)
    if version != SCORING_VERSION or len(said) != 4 or not is_outdated(connection):
        return None
    done, total, number, server = said
    return Recount(int(done), int(total), (server, int(number)))


def recount(engine: sa.Engine) -> None:
    """Count all anew where the rules have changed, and wait for it: for programs that run once.

    Raises:
        SQLAlchemyError: the database cannot be written; what was counted until then stays.
    """
    with reading(engine) as connection:
        if not is_outdated(connection):
            return
    with in_turn(engine, TURN):
        for _ in _steps(engine):
            pass


class Recounter:
    """Counts all anew, some tasks whenever it is asked. For one thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._over = False

    def go_on(self, stop: threading.Event, asked: threading.Event) -> bool:
        """Count until ``stop`` or ``asked`` is set; whether something is left for this process.

        Raises:
            SQLAlchemyError: the database cannot be written; what was counted until then stays.
        """
        if self._over:
            return False
        with reading(self._engine) as connection:
            self._over = not is_outdated(connection)
        if self._over:
            return False
        with alone(self._engine, TURN) as mine:
            if not mine:  # another process is at it
                return False
            for _ in _steps(self._engine):
                if stop.is_set() or asked.is_set():
                    return True
        self._over = True
        return False


def _steps(engine: sa.Engine) -> Iterator[None]:
    """Count the tasks that are left, some at each step; the last step ends it."""
    with reading(engine) as connection:
        if not is_outdated(connection):
            return
        known = recount_of(connection)
        tasks = _tasks(connection)
    if known is None:
        known = Recount(0, len(tasks))
        retry_failed(engine)
    left = [task for task in tasks if task > known.last]
    if left:
        load_words()
    while left:
        with writing(engine) as connection:
            known = _some(connection, left[:AT_ONCE], known)
        del left[: left.index(known.last) + 1]
        yield
    with writing(engine) as connection:
        drop_left_over(connection)
        put_fact(connection, "scoring_version", SCORING_VERSION)
        put_fact(connection, FACT, "")
        put_fact(connection, "merged_at", now())


def _some(connection: sa.Connection, tasks: Sequence[Task], known: Recount) -> Recount:
    """Count tasks anew until the time is over, and note how far it is."""
    end = time.monotonic() + TURN_S
    for server, task in tasks:
        rescore_whole(connection, server, [task])
        known = Recount(known.done + 1, known.total, (server, task))
        if time.monotonic() > end or others_wait(connection.engine):
            break
    server, task = known.last
    # More may have come since they were counted.
    said = f"{SCORING_VERSION} {known.done} {max(known.done, known.total)} {task} {server}"
    put_fact(connection, FACT, said)
    return known


def _tasks(connection: sa.Connection) -> list[Task]:
    """Those with annotations, in order."""
    c = schema.annotations.c
    found = sa.select(c.server, c.task_id).where(c.task_id.is_not(None)).distinct()
    return sorted((row.server, row.task_id) for row in connection.execute(found))
