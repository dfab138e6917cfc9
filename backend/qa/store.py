"""The quality store: a durable inbox, the state it leads to, and the scores of that state."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from backend.database import schema
from backend.database.changes import state_of
from backend.database.engine import let_go, migrate, open_engine, patience, short
from backend.database.json_text import json_text
from backend.database.keys import ProjectKey
from backend.database.servers import move
from backend.database.transactions import appending, reading, writing
from backend.qa import state
from backend.qa.events import Changes, Row, clean, prediction_row, redact
from backend.qa.facts import get_fact, put_fact
from backend.qa.intake import Intake
from backend.qa.ledger import Ledger
from backend.qa.recounting import Recount, has_reviews, recount, recount_of
from backend.qa.rescoring import (
    Recomputed,
    merge_predictions,
    rescore,
    rescore_all,
)
from backend.qa.spool import NotKeptError, Spool
from backend.qa.times import now
from backend.qa.upkeep import retry_failed
from backend.qa.words import load_words

logger = logging.getLogger(__name__)
WAIT_S = 0.3  # seconds for the database until an event goes to the spool: its sender waits 1 s


class Store:
    """Everything the quality figures rest on. Safe to share between threads and processes.

    Webhooks are appended and committed before ``append_event`` returns; the ``intake`` turns them
    into state and scores. Whoever needs the newest figures calls ``process_pending`` first.

    Where the database is locked or gone, events and predictions go to the ``spool`` until it is
    back. After an update that counts otherwise all is counted anew at once, or ``behind`` whoever
    uses it.
    """

    def __init__(
        self,
        url: str,
        spool: Path | None = None,
        *,
        keep_days: float = 0.0,
        behind: bool = False,
    ) -> None:
        self.url = url
        self.spool = None if spool is None else Spool(spool)
        self.engine = open_engine(url)
        migrate(self.engine)
        if not behind or not has_reviews(self.engine):
            recount(self.engine)
        self.ledger = Ledger(self.read)
        self.intake = Intake(self.engine, self.spool, self.ledger, keep_days=keep_days)
        self.closed = self.intake.closed
        self.sync_wanted = self.intake.sync_wanted

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
        self.intake.wake()
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
            merge_predictions(connection, server, rows, received_at)

        self._keep(merge, self.write, {"kind": "predictions", "server": server, "rows": rows})

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
        self.intake.wake()

    def process_pending(self) -> int:
        """Turn stored events into state; the number of events done.

        Raises:
            SQLAlchemyError: the database cannot be written; the events stay where they are.
        """
        return self.intake.process_pending()

    def catch_up(self) -> None:
        """Bring in what came, or what of it readers can wait for: else they see what is there."""
        self.intake.catch_up()

    def recompute(self) -> Recomputed:
        """Work out all scores anew from the state, and try events that could not be read again.

        Raises:
            SQLAlchemyError: the database cannot be written; what was recomputed until then stays.
        """
        retried = retry_failed(self.engine)
        self.process_pending()
        return Recomputed(retried, *rescore_all(self.engine))

    def merge(self, server: str, changes: Changes, listing: state.Listing | None = None) -> None:
        """Bring rows that came by another way than a webhook into the state.

        ``listing`` is the look at Label Studio's API that gave them.
        """
        received_at = now()
        load_words()
        with self.write() as connection:
            touched = state.merge(connection, server, changes, received_at, listing)
            rescore(connection, server, touched)
            put_fact(connection, "merged_at", received_at)

    def bury_project(self, project: ProjectKey) -> None:
        """Take a project that Label Studio no longer has out of the figures."""
        received_at = now()
        with self.write() as connection:
            touched = state.bury_project(connection, *project, received_at)
            rescore(connection, project.server, touched)
            put_fact(connection, "merged_at", received_at)

    def note_sync(self, project: ProjectKey, error: str | None, begun: float | None = None) -> None:
        """Keep why a project's last sync failed or stopped; None: it did not, and when it began."""
        with self.write() as connection:
            state.note_sync(connection, *project, error, now(), begun)
            put_fact(connection, "merged_at", now())

    def adopt(self, server: str) -> None:
        """Give a server what was kept before anybody said whose it was."""
        with self.write() as connection:
            moved = move(connection, "", server)
            if moved:
                put_fact(connection, "merged_at", now())
        if moved:
            logger.info("%d rows of an unknown Label Studio now belong to %s", moved, server)

    def read(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that reads."""
        return reading(self.engine)

    def write(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that changes state; one at a time over all processes."""
        return writing(self.engine)

    def _append(self) -> AbstractContextManager[sa.Connection]:
        return appending(self.engine)

    def rows(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> list[Row]:
        """Rows of one table as dictionaries, in the order of the primary key."""
        query = sa.select(table).where(*conditions).order_by(*table.primary_key)
        with self.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def values(self, column: sa.Column[Any]) -> set[Any]:
        """The different values of one column."""
        with self.read() as connection:
            return set(connection.execute(sa.select(column).distinct()).scalars())

    def recount(self) -> Recount | None:
        """How far all is counted anew after an update that counts otherwise, None where it is."""
        with self.read() as connection:
            return recount_of(connection)

    def revision(self) -> tuple[object, ...]:
        """Changes when the figures do, whichever process changed them."""
        with self.read() as connection:
            return get_fact(connection, "merged_at"), *state_of(connection)

    def inbox_counts(self) -> dict[str, int]:
        """Events that came (also those dropped since), that wait, and that cannot be read."""
        inbox = schema.inbox
        count = sa.select(sa.func.count()).select_from(inbox)
        with self.read() as connection:  # each by its index: events are long
            total = connection.execute(count).scalar_one()
            waiting = connection.execute(count.where(inbox.c.processed_at.is_(None))).scalar_one()
            failed = connection.execute(count.where(inbox.c.error.is_not(None))).scalar_one()
            dropped = int(get_fact(connection, "events_dropped") or 0)
        return {"events": total + dropped, "waiting": waiting, "failed": failed}

    def close(self) -> None:
        """Stop the worker and let go of the database; stored events wait for the next start."""
        self.intake.close()
        let_go(self.engine)
