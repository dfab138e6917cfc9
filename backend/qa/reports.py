"""Reports kept in memory while nothing has happened since: each takes a while for many rows."""

import hashlib
import threading
import time
from collections import OrderedDict

from backend.qa.audit_lists import AuditLists
from backend.qa.events import Row
from backend.qa.marks import last_mark, reviewed
from backend.qa.queries import resolve
from backend.qa.report import build_report, standing
from backend.qa.selection import Filters
from backend.qa.store import Store

KEEP = 8  # reports in memory


class Reports:
    """The reports that were asked for last. Safe to share between threads."""

    def __init__(self, store: Store, *, tolerance: float) -> None:
        self._store = store
        self.tolerance = tolerance
        self.audits = AuditLists(store)
        self._kept: OrderedDict[tuple[object, ...], Row] = OrderedDict()
        self._begun: OrderedDict[Filters, tuple[float, Row]] = OrderedDict()  # and when it was
        self._building = threading.Lock()  # readers of one page wait for one report

    def catch_up(self) -> None:
        """Bring in what came; where the database is written by others, show what is there."""
        self._store.catch_up()

    def get(self, filters: Filters) -> Row:
        """The report of the filters, with every event acknowledged before; ``revision`` names it.

        Raises:
            InputError: several servers have a project of that number.
        """
        self.catch_up()
        came = time.monotonic()
        with self._building:
            found = self._made_since(came, filters)
            begun = time.monotonic()
            revision = self._store.revision()
            key = filters, revision, self.audits.made
            if found is None:
                found = self._kept.get(key)
            if found is None:
                found = build_report(
                    self._store, filters, tolerance=self.tolerance, audits=self.audits
                )
                key = filters, revision, self.audits.made
                self._kept[key] = found
                self._begun[filters] = begun, found
                while len(self._begun) > KEEP:
                    self._begun.popitem(last=False)
                while len(self._kept) > KEEP:
                    self._kept.popitem(last=False)
        project = resolve(self._store, filters.project)
        told = reviewed(self._store, found["suspects"], project)
        return {**found, **told, **standing(self._store, filters.project)}

    def _made_since(self, came: float, filters: Filters) -> Row | None:
        """The report of these filters that others had made while somebody waited for them: it has
        every event that came before. Else each of twenty readers would wait for nineteen others
        where events come without end.
        """
        begun, found = self._begun.get(filters, (-1.0, None))
        return found if begun >= came else None

    def revision(self, filters: Filters) -> str:
        """Changes when the page of these filters may: figures, marks, a list that was made."""
        being_made = self.audits.being_made(filters.project)
        said = repr((self._store.revision(), last_mark(self._store), being_made))
        return hashlib.sha256(said.encode()).hexdigest()[:16]
