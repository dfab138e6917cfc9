"""What came becomes state and scores: the events of the inbox, and what waits in the spool."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import (
    DatabaseBusyError,
    current_patience,
    is_outage,
    others_wait,
    patience,
    short,
)
from backend.database.json_text import json_value
from backend.database.transactions import appending, reading, writing
from backend.database.turns import alone
from backend.garbage import large_in_hand, take_apart
from backend.qa import state
from backend.qa.events import Changes, clean, read_event
from backend.qa.facts import get_fact, put_fact
from backend.qa.ledger import Ledger
from backend.qa.recounting import Recounter
from backend.qa.rescoring import merge_predictions, rescore
from backend.qa.spool import Spool
from backend.qa.times import now
from backend.qa.upkeep import ENDED, compact
from backend.qa.words import load_words

logger = logging.getLogger(__name__)
BATCH = 20  # events in one transaction at most
BATCH_CHARS = 200_000  # of their payloads, where it is more than one event
PART = 100  # rows of a large event at a time
BATCH_S = 0.02  # and its length; it ends sooner where somebody waits to write
STARTS = 3  # of the process, that one event may have been in when it ended
WORKER_S = 5.0  # seconds the worker waits for others; requests wait behind it meanwhile
REFUSED = (KeyError, TypeError, ValueError, sa.exc.DataError, sa.exc.IntegrityError)
CATCH_UP_S = 2.0  # seconds readers wait for what came this moment; and until that is tried again
LOOK_S = 0.02  # seconds between looks whether another thread has brought it in
DRAIN_S = 1.0  # seconds until the spool is looked at again
COMPACT_S = 3600.0  # between two looks at what may be dropped
OTHERS = "stored events are being read by another thread"


class OtherThreadError(DatabaseBusyError):
    """Another thread of this process is at the events that wait."""


class Intake:
    """A thread that takes in what came, and what else may be asked to do so at once.

    ``when_late`` is told of each event that went through the spool (payload, server), before it
    counts as kept in the database: it may come more than once.
    """

    def __init__(
        self, engine: sa.Engine, spool: Spool | None, ledger: Ledger, *, keep_days: float
    ) -> None:
        self.when_late: Callable[[dict[str, Any], str], None] = lambda payload, server: None
        self.closed = threading.Event()
        self.sync_wanted = threading.Event()  # an event came without what it is about
        self._engine = engine
        self._spool = spool
        self._ledger = ledger
        self._keep_days = keep_days
        self._compacted = -COMPACT_S
        self._process_lock = threading.Lock()
        self._behind_until = 0.0
        self._wake = threading.Event()
        self._recounter = Recounter(engine)
        self._careful = BATCH  # events that may have been in work when the last process ended
        self._worker = threading.Thread(target=self._work, name="qa-worker", daemon=True)
        self._worker.start()

    def wake(self) -> None:
        """Something came."""
        self._wake.set()

    def close(self) -> None:
        """Stop the worker; what waits is taken in after the next start."""
        self.closed.set()
        self._wake.set()
        self.sync_wanted.set()
        self._worker.join(timeout=10)

    def process_pending(self) -> int:
        """Turn stored events into state; the number of events done.

        Raises:
            SQLAlchemyError: the database cannot be written; the events stay where they are.
        """
        done = 0
        if self._waits():
            load_words()
        while (batch := self._process_next(current_patience())) is not None:
            done += batch
        return done

    def catch_up(self) -> None:
        """Bring in what came, or what of it readers can wait for: else they see what is there.

        What comes after the call is not waited for, as there may be no end of it.
        """
        if time.monotonic() < self._behind_until:
            return
        try:
            with patience(CATCH_UP_S):
                self._process_until(time.monotonic() + CATCH_UP_S)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            self._behind_until = time.monotonic() + CATCH_UP_S
            logger.warning("figures may lack the latest events: %s", short(error))

    def _process_until(self, end: float) -> None:
        """Have all events turned into state that are stored now, by this thread or another."""
        with reading(self._engine) as connection:
            newest = connection.execute(sa.select(sa.func.max(schema.inbox.c.id))).scalar() or 0
        while self._waits(newest):
            if time.monotonic() >= end:
                raise DatabaseBusyError(OTHERS)
            load_words()
            try:
                batch = self._process_next(LOOK_S)
            except OtherThreadError:
                continue
            if batch is None:  # another process is at it
                self.closed.wait(LOOK_S)

    def _process_next(self, wait_s: float) -> int | None:
        """Turn the next events into state; how many, None where there is nothing to do.

        Raises:
            OtherThreadError: one is at it, and still is after ``wait_s``.
        """
        if not self._process_lock.acquire(timeout=wait_s):
            raise OtherThreadError(OTHERS)
        try:
            self.drain()  # each time: all that comes goes there until it is empty
            return self._process_batch()
        finally:
            self._process_lock.release()

    def _waits(self, newest: int | None = None) -> bool:
        """Whether any event (up to the newest) waits to be turned into state."""
        if self._spool is not None and self._spool.holds():
            return True
        inbox = schema.inbox
        query = sa.select(inbox.c.id).where(inbox.c.processed_at.is_(None)).limit(1)
        if newest is not None:
            query = query.where(inbox.c.id <= newest)
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def drain(self) -> int:
        """Bring what waits in the spool into the database; returns how many entries.

        Raises:
            SQLAlchemyError: the database still cannot be written; what waits stays.
        """
        if self._spool is None or not self._spool.holds():
            return 0
        done = self._spool.drain(self._take_from_spool)
        if done:
            logger.info("%d entries of the spool are in the quality store now", done)
        return done

    def _take_from_spool(self, entries: Sequence[Mapping[str, Any]]) -> None:
        assert self._spool is not None
        load_words()
        with writing(self._engine) as connection:
            for entry in entries:
                try:
                    with connection.begin_nested():
                        self._take(connection, entry)
                except Exception as error:  # one bad entry must not hold up the rest for ever
                    if is_outage(error):
                        raise
                    self._spool.refuse(entry, f"{type(error).__name__}: {error}"[:500])
        for entry in entries:
            try:
                payload = entry.get("payload")
                payload = json_value(payload) if isinstance(payload, str) else payload
                if isinstance(payload, dict):
                    self.when_late(payload, str(entry.get("server") or ""))
            except Exception as error:  # nor must what it asks for
                if isinstance(error, sa.exc.SQLAlchemyError) and not isinstance(error, REFUSED):
                    raise  # it waits on: what is in the database already comes twice
                logger.exception("an event of the spool could not be heeded")

    def _take(self, connection: sa.Connection, entry: Mapping[str, Any]) -> None:
        if entry["kind"] == "event":
            names = ("received_at", "server", "action", "payload")
            row = {name: entry[name] for name in names}
            connection.execute(schema.inbox.insert().values(**row))
        elif entry["kind"] == "predictions":
            merge_predictions(connection, entry["server"], entry["rows"], now())

    def _work(self) -> None:
        while not self.closed.is_set():
            self._wake.clear()
            try:
                with patience(WORKER_S):
                    self.process_pending()
                    self._compact_at_times()
                    self._ledger.keep(lambda: appending(self._engine))
                    if self._recounter.go_on(self.closed, self._wake):
                        continue
            except (sa.exc.SQLAlchemyError, OSError) as error:
                logger.warning("quality store: what came waits, trying again in %g s: %s",
                               DRAIN_S, short(error))  # fmt: skip
                self.closed.wait(DRAIN_S)
                continue
            except Exception:  # the top of a thread: one defect must not stop it for good
                logger.exception("quality store: the worker stumbled")
                self.closed.wait(DRAIN_S)
            self._wake.wait(timeout=60)  # a second process may have stored events

    def _compact_at_times(self) -> None:
        if not self._keep_days or time.monotonic() - self._compacted < COMPACT_S:
            return
        self._compacted = time.monotonic()
        with alone(self._engine, "compact") as mine:
            dropped = compact(self._engine, self._keep_days, self.closed) if mine else 0
        if dropped:
            logger.info("%d events that were counted long ago were dropped", dropped)

    def _process_batch(self) -> int | None:
        """Turn some events into state; how many, None where there is nothing to do."""
        if not self._careful:
            return self._take_events(BATCH)
        with alone(self._engine, "careful") as mine:
            # What another process tries just now would count as tried twice.
            return self._try_one() if mine else None

    def _try_one(self) -> int | None:
        """Take the first event that waits, which may be what the last process ended in."""
        with reading(self._engine) as connection:
            first = connection.execute(_pending(schema.inbox.c.id).limit(1)).scalar()
        if first is None:
            self._careful = 0
            return None
        self._careful -= 1
        return 1 if self._set_aside(first) else self._take_events(1)

    def _take_events(self, limit: int) -> int | None:
        """Turn the oldest events that wait into state; how many, None where none waits."""
        inbox = schema.inbox
        length = sa.func.length(inbox.c.payload).label("size")
        with reading(self._engine) as connection:
            sizes = connection.execute(_pending(inbox.c.id, length).limit(limit)).all()
            ids = [row.id for row in sizes]
            total = list(itertools.accumulate(row.size for row in sizes))
            some = inbox.c.id.in_(ids[: 1 + sum(size <= BATCH_CHARS for size in total[1:])])
            events = connection.execute(sa.select(inbox).where(some).order_by(inbox.c.id)).all()
        if not events:
            return None
        if total[0] > BATCH_CHARS:
            with large_in_hand():
                return self._take_large(events[0])
        return self._take_small(events, some)

    def _take_large(self, event: Any) -> int:
        """Turn one event into state, all of it or nothing. It may take seconds, in which the spool
        keeps the webhooks that come. Cut off, it is taken once more.
        """
        inbox, its = schema.inbox, schema.inbox.c.id == event.id
        waiting = sa.select(inbox.c.server).where(its, inbox.c.processed_at.is_(None))
        payload, changes, error, _ = _read(event)
        done = inbox.update().where(its)
        try:
            with writing(self._engine) as connection:
                server = connection.execute(waiting).scalar()
                if server is None:  # another process was sooner
                    return 0
                touched: set[int] = set()
                for part in changes.parts(PART):
                    touched |= state.merge(connection, server, part, event.received_at)
                    take_apart([*vars(part).values()])  # scores are made of what is stored
                rescore(connection, server, touched)  # once each: much may be of one task
                connection.execute(done.values(processed_at=now(), error=error))
        except Exception as failure:  # one bad event must not hold up the rest for ever
            if is_outage(failure):
                raise
            error = _unreadable(event.id, failure)
            with writing(self._engine) as connection:
                connection.execute(done.values(processed_at=now(), error=error))
        take_apart([payload, *vars(changes).values()])
        return 1

    def _take_small(self, events: Sequence[Any], some: sa.ColumnElement[bool]) -> int:
        """Turn events into state in one transaction, or as many as its time allows; how many."""
        inbox = schema.inbox
        done, wanted, end = 0, False, time.monotonic() + BATCH_S
        with writing(self._engine) as connection:
            # Meanwhile others may have taken some, or given them to the server that they are of.
            waiting = sa.select(inbox.c.id, inbox.c.server).where(
                some, inbox.c.processed_at.is_(None)
            )
            servers = {row.id: row.server for row in connection.execute(waiting)}
            for event in events:
                if done and (time.monotonic() > end or others_wait(self._engine)):
                    break
                if event.id not in servers:
                    continue
                _, changes, error, asks = _read(event)
                done += 1
                wanted |= asks
                try:
                    with connection.begin_nested():
                        _merge(connection, servers[event.id], changes, event.received_at)
                except Exception as failure:  # one bad event must not hold up the rest for ever
                    if is_outage(failure):
                        raise
                    error = _unreadable(event.id, failure)
                connection.execute(
                    inbox.update()
                    .where(inbox.c.id == event.id)
                    .values(processed_at=now(), error=error)
                )
        if wanted:  # told after the commit: whoever is woken looks into the store
            self.sync_wanted.set()
        return done

    def _set_aside(self, event_id: int) -> bool:
        """Note that an event is being tried; put it aside where the process ended too often in it.

        Only what waited at the start is tried this way: anything else is new to every process.
        """
        with writing(self._engine) as connection:
            known, _, count = (get_fact(connection, "tried") or "").partition(" ")
            ends = int(count) if known == str(event_id) else 0
            if ends < STARTS:
                put_fact(connection, "tried", f"{event_id} {ends + 1}")
                return False
            logger.error("event %d is set aside: the process ended in it", event_id)
            error = f"{ENDED} {ends} times while this event was read; it is set aside"
            done = schema.inbox.update().where(schema.inbox.c.id == event_id)
            connection.execute(done.values(processed_at=now(), error=error))
            return True


def _pending(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """These columns of events that wait, the oldest first."""
    inbox = schema.inbox
    return sa.select(*columns).where(inbox.c.processed_at.is_(None)).order_by(inbox.c.id)


def _merge(connection: sa.Connection, server: str, changes: Changes, received_at: str) -> None:
    """Bring changes into the state, and the scores of what they touch."""
    rescore(connection, server, state.merge(connection, server, changes, received_at))


def _read(event: Any) -> tuple[Any, Changes, str | None, bool]:
    """An event's payload, what that brings, why it cannot be read, and whether it says nothing
    but its action.
    """
    try:
        payload = clean(json_value(event.payload))
        changes = read_event(payload, event.received_at)
    except Exception as failure:  # one bad event must not hold up the rest for ever
        return None, Changes(), _unreadable(event.id, failure), False
    asks = isinstance(payload, dict) and payload.keys() == {"action"}
    return payload, changes, None, asks


def _unreadable(event: int, failure: Exception) -> str:
    logger.error("event %d cannot be read; it stays in the inbox", event, exc_info=failure)
    return f"{type(failure).__name__}: {failure}"[:500]
