"""The quality store: a durable inbox, the state it leads to, and the scores of that state."""

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import migrate, open_engine
from backend.qa import state
from backend.qa.events import Changes, Row, prediction_row, read_event, redact
from backend.qa.scoring import SCORING_VERSION, score_task
from backend.qa.times import now

logger = logging.getLogger(__name__)
WRITERS_LOCK = 863003  # any number that no other program on that PostgreSQL uses
BATCH = 20  # events in one transaction at most
BATCH_S = 0.02  # and its length: a webhook may be waiting to be stored


class Store:
    """Everything the quality figures rest on. Safe to share between threads and processes.

    Webhooks are appended and committed before ``append_event`` returns; a thread turns them into
    state and scores. Whoever needs the newest figures calls ``process_pending`` first.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = open_engine(url)
        migrate(self.engine)
        # SQLite has one writer and polls for its turn; waiting here is fair and quick.
        one_writer = self.engine.dialect.name == "sqlite"
        self._write_lock = threading.Lock() if one_writer else nullcontext()
        self._process_lock = threading.Lock()
        self._wake = threading.Event()
        self.closed = threading.Event()
        self.sync_wanted = threading.Event()  # an event came without what it is about
        self._rescore_if_outdated()
        self._worker = threading.Thread(target=self._work, name="qa-worker", daemon=True)
        self._worker.start()

    def append_event(self, payload: object) -> None:
        """Store one webhook; it survives the end of this process once this returns."""
        action = str(payload.get("action") or "") if isinstance(payload, Mapping) else ""
        row = {
            "received_at": now(),
            "action": action[:64],
            "payload": json.dumps(redact(payload), separators=(",", ":")),
        }
        with self._append() as connection:
            connection.execute(schema.inbox.insert().values(**row))
        self._wake.set()

    def record_predictions(
        self, project_id: int | None, task_id: int, predictions: Sequence[Mapping[str, Any]]
    ) -> None:
        """Keep what /predict answered for a task (result, score, model_version)."""
        received_at = now()
        rows = [
            prediction_row(p, task_id=task_id, project_id=project_id, received_at=received_at)
            for p in predictions
        ]
        with self.write() as connection:
            touched = state.merge(connection, Changes(predictions=rows), received_at)
            self._rescore(connection, touched)

    def process_pending(self) -> int:
        """Turn stored events into state; the number of events done."""
        done = 0
        with self._process_lock:
            while batch := self._process_batch():
                done += batch
        return done

    def merge(self, changes: Changes) -> None:
        """Bring rows that came by another way than a webhook (the API) into the state."""
        received_at = now()
        with self.write() as connection:
            self._rescore(connection, state.merge(connection, changes, received_at))
            state.put_fact(connection, "merged_at", received_at)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that changes state; one at a time over all processes."""
        with self._append() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"))
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
        """Changes when the state does, whichever process changed it."""
        inbox, predictions = schema.inbox, schema.predictions
        with self.read() as connection:
            events = connection.execute(sa.select(sa.func.count(inbox.c.processed_at))).scalar_one()
            known = connection.execute(sa.select(sa.func.count()).select_from(predictions))
            return state.get_fact(connection, "merged_at"), events, known.scalar_one()

    def inbox_counts(self) -> dict[str, int]:
        """Events stored, waiting and failed."""
        inbox = schema.inbox
        query = sa.select(
            sa.func.count(), sa.func.count(inbox.c.processed_at), sa.func.count(inbox.c.error)
        ).select_from(inbox)
        with self.read() as connection:
            total, processed, failed = connection.execute(query).one()
        return {"events": total, "waiting": total - processed, "failed": failed}

    def close(self) -> None:
        """Stop the worker and let go of the database; stored events wait for the next start."""
        self.closed.set()
        self._wake.set()
        self.sync_wanted.set()
        self._worker.join(timeout=10)
        self.engine.dispose()

    def _work(self) -> None:
        while not self.closed.is_set():
            try:
                self.process_pending()
            except sa.exc.SQLAlchemyError:
                logger.exception("quality store: events stay in the inbox, trying again in 5 s")
                self.closed.wait(5)
            self._wake.wait(timeout=60)  # a second process may have stored events
            self._wake.clear()

    def _process_batch(self) -> int:
        inbox = schema.inbox
        pending = (
            sa.select(inbox.c.id, inbox.c.payload, inbox.c.received_at)
            .where(inbox.c.processed_at.is_(None))
            .order_by(inbox.c.id)
            .limit(BATCH)
        )
        with self.read() as connection:
            if connection.execute(pending.limit(1)).first() is None:
                return 0
        with self.write() as connection:
            events = connection.execute(pending).all()
            done, end = 0, time.monotonic() + BATCH_S
            for event in events:
                if done and time.monotonic() > end:
                    break
                done += 1
                error = None
                try:
                    payload = json.loads(event.payload)
                    changes = read_event(payload, event.received_at)
                    if isinstance(payload, dict) and payload.keys() == {"action"}:
                        self.sync_wanted.set()
                    with connection.begin_nested():
                        touched = state.merge(connection, changes, event.received_at)
                        self._rescore(connection, touched)
                except Exception as failure:  # one bad event must not hold up the rest for ever
                    logger.exception("event %d cannot be read; it stays in the inbox", event.id)
                    error = f"{type(failure).__name__}: {failure}"[:500]
                connection.execute(
                    inbox.update()
                    .where(inbox.c.id == event.id)
                    .values(processed_at=now(), error=error)
                )
        return done

    def _rescore(self, connection: sa.Connection, task_ids: Iterable[int]) -> None:
        task_ids = sorted(task_ids)
        # First all of them: an annotation may have moved from one task to another.
        for task_id in task_ids:
            connection.execute(schema.scores.delete().where(schema.scores.c.task_id == task_id))
        for task_id in task_ids:
            task, annotations, predictions = state.load_task(connection, task_id)
            gone = task is not None and task["deleted_at"] is not None
            rows = [] if gone else score_task(task, annotations, predictions)
            if rows:
                connection.execute(schema.scores.insert(), rows)

    def _rescore_if_outdated(self) -> None:
        """After a change of the rules: score everything, and try events that failed once more."""
        with self.read() as connection:
            if state.get_fact(connection, "scoring_version") == SCORING_VERSION:
                return
        with self.write() as connection:
            ids = connection.execute(
                sa.select(schema.annotations.c.task_id)
                .where(schema.annotations.c.task_id.is_not(None))
                .distinct()
            ).scalars()
            self._rescore(connection, list(ids))
            again = schema.inbox.update().where(schema.inbox.c.error.is_not(None))
            connection.execute(again.values(processed_at=None, error=None))
            state.put_fact(connection, "scoring_version", SCORING_VERSION)
