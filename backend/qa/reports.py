"""Reports kept in memory while nothing has happened since: each takes a while for many rows.

Of many rows a page shows the figures of before while newer ones are made behind it: where events
come without end each reader would wait for seconds, again and again. An open page looks every few
seconds whether there are newer ones.
"""

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from backend.database.engine import short
from backend.qa.audit_lists import AuditLists
from backend.qa.events import Row
from backend.qa.marks import last_mark, reviewed
from backend.qa.queries import resolve
from backend.qa.report import build_report, standing
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.targets import judge, target_of
from backend.threads import started
from videogem.errors import InputError

logger = logging.getLogger(__name__)

KEEP = 8  # reports in memory
MANY = 20_000  # score rows, from which on a page does not wait for the newest figures
BEHIND_S = 30.0  # that its figures may be, at most
REST = 1.0  # times as long as a report took, until the next one is begun behind the pages

State = tuple[tuple[object, ...], int]  # of the store, and audit lists made


@dataclass
class _Last:
    """The report of some filters that was made last."""

    report: Row
    state: State
    begun: float  # when: it has every event that came before
    newest_at: float  # when it was last seen to have every event


class Reports:
    """The reports that were asked for last. Safe to share between threads."""

    def __init__(self, store: Store, *, tolerance: float) -> None:
        self._store = store
        self.tolerance = tolerance
        self.audits = AuditLists(store)
        self._kept: OrderedDict[tuple[Filters, State], Row] = OrderedDict()
        self._last: OrderedDict[Filters, _Last] = OrderedDict()
        self._building = threading.Lock()  # readers of one page wait for one report
        self._behind = threading.Lock()
        self._at_work = False  # a report is made behind the pages, or a rest after one

    def catch_up(self) -> None:
        """Bring in what came; where the database is written by others, show what is there."""
        self._store.catch_up()

    def get(self, filters: Filters) -> Row:
        """The report of the filters, with every event acknowledged before.

        Raises:
            InputError: several servers have a project of that number.
        """
        self.catch_up()
        return self._completed(self._newest(filters)[0], filters)

    def page(self, filters: Filters) -> tuple[Row, str]:
        """The report for a page that follows by itself, and the `revision` that it shows: as
        ``get``, or of many rows the last one, at most `BEHIND_S` old, while the next is made.

        Raises:
            InputError: as ``get``.
        """
        self.catch_up()
        mark = last_mark(self._store)
        last = self._last_if_behind(filters)
        found, state = self._newest(filters) if last is None else (last.report, last.state)
        return self._completed(found, filters), _named(state, mark)

    def revision(self, filters: Filters) -> str:
        """Changes when the page of these filters may: figures, marks, a list that was made. Of many
        rows it does not until there are newer figures to show.
        """
        last = self._last_if_behind(filters)
        return _named(self._state() if last is None else last.state, last_mark(self._store))

    def _newest(self, filters: Filters) -> tuple[Row, State]:
        came = time.monotonic()
        with self._building:
            last = self._last.get(filters)
            if last is not None and last.begun >= came:
                # Others had it made while this one waited: it has every event that came before.
                # Else each of twenty readers would wait for nineteen others where events come
                # without end.
                return last.report, last.state
            begun, state = time.monotonic(), self._state()
            found = self._kept.get((filters, state))
            if found is None:
                found = build_report(
                    self._store, filters, tolerance=self.tolerance, audits=self.audits
                )
                if found["audit_as_of"] is None:  # else a list may have been made meanwhile
                    state = state[0], self.audits.made
                self._kept[filters, state] = found
                while len(self._kept) > KEEP:
                    self._kept.popitem(last=False)
            self._last[filters] = _Last(found, state, begun, begun)
            self._last.move_to_end(filters)
            while len(self._last) > KEEP:
                self._last.popitem(last=False)
            return found, state

    def _completed(self, found: Row, filters: Filters) -> Row:
        """With what people set and mark, as of now."""
        project = resolve(self._store, filters.project)
        told = reviewed(self._store, found["suspects"], project)
        target = judge(target_of(self._store, project), found)
        return {**found, **told, "target": target, **standing(self._store, filters.project)}

    def _state(self) -> State:
        return self._store.revision(), self.audits.made

    def _last_if_behind(self, filters: Filters) -> _Last | None:
        """The report that a page shows instead of the newest, which is then being made."""
        last, at = self._last.get(filters), time.monotonic()
        if last is None or len(self._store.ledger.look().rows) < MANY:
            return None
        if last.state == self._state():
            last.newest_at = at
            return None
        if at - last.newest_at > BEHIND_S:
            return None
        with self._behind:
            if not self._at_work:
                self._at_work = True
                thread = threading.Thread(
                    target=self._make_behind, args=[filters], name="qa-report", daemon=True
                )
                if not started(thread, "newer figures wait"):
                    self._at_work = False
        return last

    def _make_behind(self, filters: Filters) -> None:
        start = time.monotonic()
        try:
            self._newest(filters)
            self._store.closed.wait(REST * (time.monotonic() - start))
        except (SQLAlchemyError, OSError, InputError) as error:
            if not self._store.closed.is_set():
                logger.warning("newer figures wait: %s", short(error))
        finally:
            with self._behind:
                self._at_work = False


def _named(state: State, mark: object) -> str:
    return hashlib.sha256(repr((state, mark)).encode()).hexdigest()[:16]
