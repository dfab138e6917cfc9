"""The score rows in memory, in step with the store: only what changed is read again."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import sqlalchemy as sa

from backend.database import schema
from backend.database.changes import changed_since, state_of
from backend.database.engine import short
from backend.qa.agreement import Overlaps
from backend.qa.events import Row
from backend.qa.flat import flat
from backend.qa.kept_ledger import KeptLedger, keep, kept_version, pack, read_kept
from backend.qa.table import Table, Vocabulary
from backend.threads import started

logger = logging.getLogger(__name__)

FIRST_S = 1.0  # seconds that somebody waits for the rows when they are read for the first time
AT_ONCE = 500  # tasks in one query
PART = 5000  # rows turned into columns at once
KEEP_AFTER = 5000  # rows that a process had to read, because no columns of them were kept


@dataclass(frozen=True)
class Snapshot:
    """Every score row at one moment, oldest annotation first. Never changed once it is made."""

    version: tuple[int, int]  # of the scores: last rebuilding, last change
    rows: Table
    overlaps: Overlaps
    unreadable: np.ndarray  # (num_unreadable,) number of the project of each row left out

    @property
    def vocabulary(self) -> Vocabulary:
        return self.rows.vocabulary


@dataclass(frozen=True)
class _Part:
    rows: Table
    overlaps: Overlaps
    unreadable: np.ndarray  # (num_unreadable, 2) numbers of task and project


class Ledger:
    """Begins with the columns that are kept, and reads the rows of the tasks that changed since.

    Safe to share between threads; each process has its own, as the numbers of the changes are in
    the database. ``rows_read`` counts the rows that came from there.
    """

    def __init__(self, read: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._beginning = threading.Lock()
        self._vocabulary = Vocabulary()
        self._snapshot: Snapshot | None = None
        self._unreadable = np.zeros((0, 2), np.int64)
        self._unkept = 0  # rows that a process which starts now would have to read
        self._reader: threading.Thread | None = None  # of all rows, when somebody first asks
        self._there = threading.Event()
        self._total = 0  # rows, when that began
        self.rows_read = 0

    def being_read(self, patience: float | None = None) -> tuple[int, int] | None:
        """Rows read and rows in all while they come into memory for the first time, None once they
        are there. Begins it behind whoever asks, and waits so many seconds for it (`FIRST_S`).
        """
        with self._beginning:
            if self._reader is None and not self._there.is_set():
                self._reader = threading.Thread(target=self._begin_behind, name="qa-read",
                                                daemon=True)  # fmt: skip
                if not started(self._reader, "the figures are read by who asks"):
                    self._reader = None
        end = time.monotonic() + (FIRST_S if patience is None else patience)
        while not self._there.wait(min(0.05, max(0.0, end - time.monotonic()))):
            if self._reader is None:  # it failed: whoever looks is told why
                return None
            if time.monotonic() >= end:
                return self.rows_read, max(self._total, self.rows_read)
        return None

    def _begin_behind(self) -> None:
        try:
            with self._read() as connection:
                query = sa.select(sa.func.count()).select_from(schema.scores)
                self._total = connection.execute(query).scalar_one()
            self.look()
        except sa.exc.SQLAlchemyError as error:
            logger.warning("the figures cannot be read yet: %s", short(error))
        finally:
            self._reader = None

    def look(self) -> Snapshot:
        """All rows as of now.

        Raises:
            SQLAlchemyError: the database cannot be read.
        """
        with self._lock, self._read() as connection:
            version = state_of(connection)
            known = self._snapshot or self._begin(connection, version)
            if known is not None and known.version == version:
                self._there.set()
                return known
            if known is None or known.version[0] != version[0]:
                self._vocabulary, self._unkept = Vocabulary(), 0
                part = self._load(connection, [[]])
                part = replace(part, rows=part.rows.in_order())
            else:
                changed = list(changed_since(connection, known.version[1]))
                version = version[0], max([version[1], *(number for *_, number in changed)])
                part = self._replace(connection, known, changed)
            self._unreadable = part.unreadable
            self._snapshot = Snapshot(version, part.rows, part.overlaps, part.unreadable[:, 1])
            self._there.set()
            return self._snapshot

    def keep(self, write: Callable[[], AbstractContextManager[sa.Connection]]) -> bool:
        """Keep the columns for processes that start, where those would have to read many rows.

        Returns whether they were written, in one transaction of ``write``.

        Raises:
            SQLAlchemyError: the database cannot be read or written.
        """
        with self._lock:
            known, unkept = self._snapshot, self._unkept
            if known is None or unkept < KEEP_AFTER:
                return False
            found = KeptLedger(known.version, known.rows, known.overlaps, self._unreadable)
            names = {n: [*some.values] for n, some in self._vocabulary.names.items()}  # they grow
        with self._read() as connection:
            others = kept_version(connection)  # another process may have kept newer ones
        written = others is None or others < found.version
        if written:
            body = pack(found, names)
            with write() as connection:
                keep(connection, found.version, body)
        with self._lock:
            self._unkept -= unkept
        return written

    def _begin(self, connection: sa.Connection, version: tuple[int, int]) -> Snapshot | None:
        """What is kept, where it is of these scores or of some before them."""
        kept = read_kept(connection, version)
        if kept is None:
            return None
        self._vocabulary, self._unreadable = kept.rows.vocabulary, kept.unreadable
        self._snapshot = Snapshot(kept.version, kept.rows, kept.overlaps, kept.unreadable[:, 1])
        return self._snapshot

    def _replace(
        self, connection: sa.Connection, known: Snapshot, changed: list[tuple[str, int, int]]
    ) -> _Part:
        tasks = self._vocabulary["task"]
        codes = np.array([tasks.code((server, task)) for server, task, _ in changed], np.int32)
        c = schema.scores.c
        by_server: dict[str, list[int]] = defaultdict(list)
        for server, task, _ in changed:
            by_server[server].append(task)
        conditions = [
            [c.server == server, c.task_id.in_(ids[start : start + AT_ONCE])]
            for server, ids in by_server.items()
            for start in range(0, len(ids), AT_ONCE)
        ]
        new = self._load(connection, conditions)
        overlaps = known.overlaps.take(~np.isin(known.overlaps["task"], codes))
        unreadable = self._unreadable[~np.isin(self._unreadable[:, 0], codes)]
        return _Part(
            known.rows.replaced(~np.isin(known.rows["task"], codes), new.rows),
            Overlaps.join(overlaps, new.overlaps),
            np.concatenate([unreadable, new.unreadable]),
        )

    def _load(
        self, connection: sa.Connection, conditions: list[list[sa.ColumnElement[bool]]]
    ) -> _Part:
        vocabulary = self._vocabulary
        tables = [Table.of([], vocabulary)]
        overlaps = Overlaps.of([], vocabulary)
        unreadable: list[tuple[int, int]] = []
        for where in conditions:
            for stored in _parts(connection, where):
                self.rows_read += len(stored)
                self._unkept += len(stored)
                rows = []
                for each in stored:
                    row = flat(each)
                    if row is not None:
                        rows.append(row)
                        continue
                    own = each["server"], each["task_id"]
                    project = each["server"], each["project_id"]
                    unreadable.append(
                        (vocabulary["task"].code(own), vocabulary["project_id"].code(project))
                    )
                tables.append(Table.of(rows, vocabulary))
                annotations = [row for row in rows if row["kind"] == "annotation"]
                overlaps = Overlaps.join(overlaps, Overlaps.of(annotations, vocabulary))
        left_out = np.array(unreadable, np.int64).reshape(-1, 2)
        return _Part(Table.join(tables), overlaps, left_out)


def _parts(connection: sa.Connection, where: list[sa.ColumnElement[bool]]) -> Iterator[list[Row]]:
    query = sa.select(schema.scores).where(*where).execution_options(yield_per=PART)
    for some in connection.execute(query).mappings().partitions():
        yield [dict(row) for row in some]
