"""The quality store: a durable inbox, the state it leads to, and the scores of that state."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from backend.database import schema
from backend.database.changes import note_changed, state_of
from backend.database.engine import (
    DatabaseBusyError,
    current_patience,
    is_outage,
    let_go,
    lock_writers,
    migrate,
    open_engine,
    patience,
    short,
    writer_lock,
)
from backend.database.json_text import json_text, json_value
from backend.database.keys import ProjectKey
from backend.database.servers import move
from backend.database.turns import alone
from backend.qa import state
from backend.qa.events import Changes, Row, clean, prediction_row, read_event, redact
from backend.qa.ledger import Ledger
from backend.qa.scoring import SCORING_VERSION, score_task
from backend.qa.spool import NotKeptError, Spool
from backend.qa.times import now
from backend.qa.upkeep import ENDED, compact, recompute
from backend.qa.words import load_words

logger = logging.getLogger(__name__)
BATCH = 20  # events in one transaction at most
BATCH_CHARS = 200_000  # of their payloads, where it is more than one event
STARTS = 3  # of the process, that one event may have been in when it ended
BATCH_S = 0.02  # and its length: a webhook may be waiting to be stored
WAIT_S = 0.3  # seconds for the database until an event goes to the spool: its sender waits 1 s
WORKER_S = 5.0  # seconds the worker waits for others; requests wait behind it meanwhile
REFUSED = (KeyError, TypeError, ValueError, sa.exc.DataError, sa.exc.IntegrityError)
CATCH_UP_S = 2.0  # seconds readers wait for what came this moment; and until that is tried again
DRAIN_S = 1.0  # seconds until the spool is looked at again
COMPACT_S = 3600.0  # between two looks at what may be dropped


class Store:
    """Everything the quality figures rest on. Safe to share between threads and processes.

    Webhooks are appended and committed before ``append_event`` returns; a thread turns them into
    state and scores. Whoever needs the newest figures calls ``process_pending`` first.

    Where the database is locked or gone, events and predictions go to the ``spool`` until it is
    back. ``when_late`` is told of each event that did (payload, server), before it counts as kept
    in the database: it may come more than once.
    """

    def __init__(self, url: str, spool: Path | None = None, *, keep_days: float = 0.0) -> None:
        self.url = url
        self._keep_days = keep_days
        self._compacted = -COMPACT_S
        self.spool = None if spool is None else Spool(spool)
        self.when_late: Callable[[dict[str, Any], str], None] = lambda payload, server: None
        self.engine = open_engine(url)
        migrate(self.engine)
        self.ledger = Ledger(self.read)
        self._write_lock = writer_lock(self.engine)
        self._process_lock = threading.Lock()
        self._behind_until = 0.0
        self._wake = threading.Event()
        self.closed = threading.Event()
        self.sync_wanted = threading.Event()  # an event came without what it is about
        self._careful = BATCH  # events that may have been in work when the last process ended
        self._rescore_if_outdated()
        self._worker = threading.Thread(target=self._work, name="qa-worker", daemon=True)
        self._worker.start()

    def append_event(self, payload: object, server: str = "") -> bool:
        """Store one webhook of a server; it survives the end of this process on return.

        Returns whether it is in the database; else it is in the spool.

        Raises:
            NotKeptError: it is nowhere.
        """
        payload = clean(redact(payload))
        action = str(payload.get("action") or "") if isinstance(payload, Mapping) else ""
        row = {
            "received_at": now(),
            "server": server,
            "action": action[:64],
            "payload": json_text(payload),
        }

        def insert(connection: sa.Connection) -> None:
            connection.execute(schema.inbox.insert().values(**row))

        kept = self._keep(insert, self._append, {"kind": "event", **row})
        self._wake.set()
        return kept

    def set_aside(self, payload: Mapping[str, Any], server: str) -> None:
        """Bring an event once more when the database can be written: something else it asks for
        could not be done.

        Raises:
            NotKeptError: there is no spool, or it cannot be written.
        """
        self._spool({"kind": "late", "server": server, "payload": clean(redact(payload))})

    def record_all(
        self, project: ProjectKey | None, predictions: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """Keep what tasks of a project got (result, score, model_version), in one transaction."""
        received_at = now()
        server, project_id = project or ("", None)
        rows = [
            prediction_row(
                clean(dict(p)), task_id=task_id, project_id=project_id, received_at=received_at
            )
            for task_id, p in predictions
        ]

        def merge(connection: sa.Connection) -> None:
            self._merge_predictions(connection, server, rows, received_at)

        self._keep(merge, self.write, {"kind": "predictions", "server": server, "rows": rows})

    def _merge_predictions(
        self, connection: sa.Connection, server: str, rows: list[Row], received_at: str
    ) -> None:
        annotated = schema.annotations.c
        changes = Changes(predictions=rows)
        touched = sorted(state.merge(connection, server, changes, received_at))
        for start in range(0, len(touched), 500):
            some = touched[start : start + 500]
            # Without annotations there is nothing to score.
            query = sa.select(annotated.task_id).distinct()
            query = query.where(annotated.server == server, annotated.task_id.in_(some))
            self.rescore(connection, server, connection.execute(query).scalars().all())

    def _keep(
        self,
        put: Callable[[sa.Connection], None],
        transaction: Callable[[], AbstractContextManager[sa.Connection]],
        entry: Mapping[str, Any],
    ) -> bool:
        """Put into the database, or the entry into the spool; whether it is in the database."""
        # While something waits in the spool everything goes there: in its order, and at once.
        if self.spool is None:
            with transaction() as connection:
                put(connection)
            return True
        if not self.spool.holds():
            try:
                with patience(WAIT_S), transaction() as connection:
                    put(connection)
                return True
            except sa.exc.SQLAlchemyError as error:
                logger.warning("the quality store is busy or gone, so the spool keeps what comes "
                               "until it is back: %s", short(error))  # fmt: skip
        self._spool(entry)
        return False

    def _spool(self, entry: Mapping[str, Any]) -> None:
        if self.spool is None:
            raise NotKeptError("The database cannot be written, and there is no spool.")
        self.spool.add(entry)
        self._wake.set()

    def drain(self) -> int:
        """Bring what waits in the spool into the database; returns how many entries.

        Raises:
            SQLAlchemyError: the database still cannot be written; what waits stays.
        """
        if self.spool is None or not self.spool.holds():
            return 0
        done = self.spool.drain(self._take_from_spool)
        if done:
            logger.info("%d entries of the spool are in the quality store now", done)
        return done

    def _take_from_spool(self, entries: Sequence[Mapping[str, Any]]) -> None:
        assert self.spool is not None
        load_words()
        with self.write() as connection:
            for entry in entries:
                try:
                    with connection.begin_nested():
                        self._take(connection, entry)
                except REFUSED as error:
                    self.spool.refuse(entry, f"{type(error).__name__}: {error}"[:500])
        for entry in entries:
            payload = entry.get("payload")
            payload = json_value(payload) if isinstance(payload, str) else payload
            if isinstance(payload, dict):
                self.when_late(payload, str(entry.get("server") or ""))

    def _take(self, connection: sa.Connection, entry: Mapping[str, Any]) -> None:
        if entry["kind"] == "event":
            names = ("received_at", "server", "action", "payload")
            row = {name: entry[name] for name in names}
            connection.execute(schema.inbox.insert().values(**row))
        elif entry["kind"] == "predictions":
            self._merge_predictions(connection, entry["server"], entry["rows"], now())

    def process_pending(self) -> int:
        """Turn stored events into state; the number of events done.

        Raises:
            SQLAlchemyError: the database cannot be written; the events stay where they are.
        """
        done = 0
        if self._waits():
            load_words()
        if not self._process_lock.acquire(timeout=current_patience()):
            raise DatabaseBusyError("stored events are being read by another thread")
        try:
            self.drain()
            while (batch := self._process_batch()) is not None:
                done += batch
        finally:
            self._process_lock.release()
        return done

    def catch_up(self) -> None:
        """Bring in what came, or what of it readers can wait for: else they see what is there."""
        if time.monotonic() < self._behind_until:
            return
        try:
            with patience(CATCH_UP_S):
                self.process_pending()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            self._behind_until = time.monotonic() + CATCH_UP_S
            logger.warning("figures may lack the latest events: %s", short(error))

    def _waits(self) -> bool:
        """Whether any event waits to be turned into state."""
        if self.spool is not None and self.spool.holds():
            return True
        inbox = schema.inbox
        query = sa.select(inbox.c.id).where(inbox.c.processed_at.is_(None)).limit(1)
        with self.read() as connection:
            return connection.execute(query).first() is not None

    def merge(self, server: str, changes: Changes, listed_at: str | None = None) -> None:
        """Bring rows that came by another way than a webhook into the state.

        ``listed_at`` is when Label Studio's API was asked for them.
        """
        received_at = now()
        load_words()
        with self.write() as connection:
            touched = state.merge(connection, server, changes, received_at, listed_at)
            self.rescore(connection, server, touched)
            state.put_fact(connection, "merged_at", received_at)

    def bury_project(self, project: ProjectKey) -> None:
        """Take a project that Label Studio no longer has out of the figures."""
        received_at = now()
        with self.write() as connection:
            touched = state.bury_project(connection, *project, received_at)
            self.rescore(connection, project.server, touched)
            state.put_fact(connection, "merged_at", received_at)

    def note_sync(self, project: ProjectKey, error: str | None, begun: float | None = None) -> None:
        """Keep why a project's last sync failed or stopped; None: it did not, and when it began."""
        with self.write() as connection:
            state.note_sync(connection, *project, error, now(), begun)
            state.put_fact(connection, "merged_at", now())

    def adopt(self, server: str) -> None:
        """Give a server what was kept before anybody said whose it was."""
        with self.write() as connection:
            moved = move(connection, "", server)
            if moved:
                state.put_fact(connection, "merged_at", now())
        if moved:
            logger.info("%d rows of an unknown Label Studio now belong to %s", moved, server)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that changes state; one at a time over all processes."""
        with self._append() as connection:
            lock_writers(connection)
            yield connection

    @contextmanager
    def _append(self) -> Iterator[sa.Connection]:
        with (
            self._write_lock,
            self.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def rows(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> list[Row]:
        """Rows of one table as dictionaries, in the order of the primary key."""
        query = sa.select(table).where(*conditions).order_by(*table.primary_key)
        with self.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def values(self, column: sa.Column[Any]) -> set[Any]:
        """The different values of one column."""
        with self.read() as connection:
            return set(connection.execute(sa.select(column).distinct()).scalars())

    def revision(self) -> tuple[object, ...]:
        """Changes when the figures do, whichever process changed them."""
        with self.read() as connection:
            return state.get_fact(connection, "merged_at"), *state_of(connection)

    def inbox_counts(self) -> dict[str, int]:
        """Events that came (also those dropped since), that wait, and that cannot be read."""
        inbox = schema.inbox
        count = sa.select(sa.func.count()).select_from(inbox)
        with self.read() as connection:  # each by its index: events are long
            total = connection.execute(count).scalar_one()
            waiting = connection.execute(count.where(inbox.c.processed_at.is_(None))).scalar_one()
            failed = connection.execute(count.where(inbox.c.error.is_not(None))).scalar_one()
            dropped = int(state.get_fact(connection, "events_dropped") or 0)
        return {"events": total + dropped, "waiting": waiting, "failed": failed}

    def _compact_at_times(self) -> None:
        if not self._keep_days or time.monotonic() - self._compacted < COMPACT_S:
            return
        self._compacted = time.monotonic()
        with alone(self.engine, "compact") as mine:
            dropped = compact(self, self._keep_days) if mine else 0
        if dropped:
            logger.info("%d events that were counted long ago were dropped", dropped)

    def close(self) -> None:
        """Stop the worker and let go of the database; stored events wait for the next start."""
        self.closed.set()
        self._wake.set()
        self.sync_wanted.set()
        self._worker.join(timeout=10)
        let_go(self.engine)

    def _work(self) -> None:
        while not self.closed.is_set():
            self._wake.clear()
            try:
                with patience(WORKER_S):
                    self.process_pending()
                    self._compact_at_times()
                    self.ledger.keep(self._append)
            except (sa.exc.SQLAlchemyError, OSError) as error:
                logger.warning("quality store: what came waits, trying again in %g s: %s",
                               DRAIN_S, short(error))  # fmt: skip
                self.closed.wait(DRAIN_S)
                continue
            except Exception:  # the top of a thread: one defect must not stop it for good
                logger.exception("quality store: the worker stumbled")
                self.closed.wait(DRAIN_S)
            self._wake.wait(timeout=60)  # a second process may have stored events

    def _process_batch(self) -> int | None:
        """Turn some events into state; how many, None where there is nothing to do."""
        if not self._careful:
            return self._take_events(BATCH)
        with alone(self.engine, "careful") as mine:
            # What another process tries just now would count as tried twice.
            return self._try_one() if mine else None

    def _try_one(self) -> int | None:
        """Take the first event that waits, which may be what the last process ended in."""
        with self.read() as connection:
            first = connection.execute(_pending(schema.inbox.c.id).limit(1)).scalar()
        if first is None:
            self._careful = 0
            return None
        self._careful -= 1
        return 1 if self._set_aside(first) else self._take_events(1)

    def _take_events(self, limit: int) -> int | None:
        """Turn the oldest events that wait into state; how many, None where none waits.

        A large one is read before anything is locked: that takes seconds, and webhooks that come
        meanwhile want to be stored.
        """
        inbox = schema.inbox
        length = sa.func.length(inbox.c.payload).label("size")
        with self.read() as connection:
            sizes = connection.execute(_pending(inbox.c.id, length).limit(limit)).all()
            ids = [row.id for row in sizes]
            total = list(itertools.accumulate(row.size for row in sizes))
            some = inbox.c.id.in_(ids[: 1 + sum(size <= BATCH_CHARS for size in total[1:])])
            events = connection.execute(sa.select(inbox).where(some).order_by(inbox.c.id)).all()
        if not events:
            return None
        read = [(event, *_read(event)) for event in events if total[0] > BATCH_CHARS]
        done, wanted, end = 0, False, time.monotonic() + BATCH_S
        with self.write() as connection:
            # Meanwhile others may have taken some, or given them to the server that they are of.
            waiting = sa.select(inbox.c.id, inbox.c.server).where(
                some, inbox.c.processed_at.is_(None)
            )
            servers = {row.id: row.server for row in connection.execute(waiting)}
            for event, changes, error, asks in read or ((event, *_read(event)) for event in events):
                if done and time.monotonic() > end:
                    break
                if event.id not in servers:
                    continue
                done += 1
                wanted |= asks
                try:
                    with connection.begin_nested():
                        server = servers[event.id]
                        touched = state.merge(connection, server, changes, event.received_at)
                        self.rescore(connection, server, touched)
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
        with self.write() as connection:
            known, _, count = (state.get_fact(connection, "tried") or "").partition(" ")
            ends = int(count) if known == str(event_id) else 0
            if ends < STARTS:
                state.put_fact(connection, "tried", f"{event_id} {ends + 1}")
                return False
            logger.error("event %d is set aside: the process ended in it", event_id)
            error = f"{ENDED} {ends} times while this event was read; it is set aside"
            done = schema.inbox.update().where(schema.inbox.c.id == event_id)
            connection.execute(done.values(processed_at=now(), error=error))
            return True

    def rescore(self, connection: sa.Connection, server: str, task_ids: Iterable[int]) -> None:
        """Work out the scores of some tasks anew, within a transaction of ``write``."""
        task_ids, scores = sorted(task_ids), schema.scores
        note_changed(connection, server, task_ids)
        deleted = state.gone_projects(connection, server)
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

    def _rescore_if_outdated(self) -> None:
        """After a change of the rules: score everything, and try events that failed once more."""
        with self.read() as connection:
            if state.get_fact(connection, "scoring_version") == SCORING_VERSION:
                return
            any_known = connection.execute(sa.select(schema.annotations.c.id).limit(1)).first()
        if any_known is None:
            with self.write() as connection:
                state.put_fact(connection, "scoring_version", SCORING_VERSION)
            return
        with self.write() as connection:
            failed = schema.inbox.update().where(schema.inbox.c.error.is_not(None))
            connection.execute(failed.values(processed_at=None, error=None))
        recompute(self, again=False)


def _pending(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """These columns of events that wait, the oldest first."""
    inbox = schema.inbox
    return sa.select(*columns).where(inbox.c.processed_at.is_(None)).order_by(inbox.c.id)


def _read(event: Any) -> tuple[Changes, str | None, bool]:
    """What an event brings, why it cannot be read, and whether it says nothing but its action."""
    try:
        payload = clean(json_value(event.payload))
        changes = read_event(payload, event.received_at)
    except Exception as failure:  # one bad event must not hold up the rest for ever
        return Changes(), _unreadable(event.id, failure), False
    return changes, None, isinstance(payload, dict) and payload.keys() == {"action"}


def _unreadable(event: int, failure: Exception) -> str:
    logger.error("event %d cannot be read; it stays in the inbox", event, exc_info=failure)
    return f"{type(failure).__name__}: {failure}"[:500]
