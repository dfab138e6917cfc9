"""The audit list of a project, kept while nothing changes.

Reasons compare an annotation with all others of its project (usual times, values that many boxes
share), so one change may change any of them: the list is made anew as a whole. Few annotations are
looked at whenever somebody asks. Many take seconds, which nobody should wait for: then the last
list is shown with its time, and the next one is made behind it.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.audit_items import Item
from backend.qa.events import Row
from backend.qa.first_keys import FirstKeys
from backend.qa.flat import flat
from backend.qa.marks import Place, codes_of, evidence, marks_of, place_of, weights
from backend.qa.queries import of_project, of_project_rows, told_apart
from backend.qa.selection import have_several_servers
from backend.qa.store import Store
from backend.qa.suspects import audit_items, suspects
from backend.qa.times import now
from backend.threads import started

logger = logging.getLogger(__name__)
MANY = 2000  # annotations, from which on nobody waits for the list
REST = 4.0  # times as long as a list took, until the next one is begun
KEPT = 4  # projects
AT_ONCE = 500  # annotations in memory as they are stored
NAMES = ("task_id", "project_id", "annotator", "narration", "media")


@dataclass(frozen=True)
class AuditList:
    """Suspect annotations of a project, worst first, as of some version of the scores."""

    suspects: list[Row] = field(default_factory=list)
    version: tuple[int, int] | None = None  # None: not made yet
    at: str | None = None


def make_list(
    store: Store, project: ProjectKey | None, reader: FirstKeys | None = None
) -> AuditList:
    """Look at every annotation of a project, or of all; ``reader`` remembers long ones.

    Rows are read some at a time and only what the reasons compare is kept of them: a hundred
    thousand as they are stored would take gigabytes, and Python's looks for garbage among them
    hold up everybody else.
    """
    found, at = store.ledger.look(), now()
    items: list[Item] = []
    verdicts: dict[tuple[str, int], Row] = {}
    for tasks, annotations, rows in _stored(store, project, reader or FirstKeys(store)):
        if project is None and have_several_servers(found.rows):
            rows, annotations = (told_apart(some, ("annotator",)) for some in (rows, annotations))
        for row in rows:
            if row["kind"] == "annotation":
                own = {name: row[name] for name in NAMES}
                verdicts[row["server"], row["annotation_id"]] = own
        known = {(row["server"], row["annotation_id"]) for row in rows}
        items += audit_items(
            tasks, [a for a in annotations if (a["server"], a["id"]) in known], rows
        )
    learned = weights(evidence(marks_of(store, project)))
    listed = [
        {**suspect, **verdict}
        for suspect in suspects(items, learned)
        if (verdict := verdicts.get((suspect["server"], suspect["annotation_id"]))) is not None
    ]
    return AuditList(listed, found.version, at)


def _stored(
    store: Store, project: ProjectKey | None, reader: FirstKeys
) -> Iterator[tuple[list[Row], list[Row], list[Row]]]:
    """Tasks, annotations and their score rows, some annotations at a time in the order of ids."""
    tasks, annotations, scores = schema.tasks, schema.annotations, schema.scores
    c = annotations.c
    alive = [*of_project(annotations, project), c.deleted_at.is_(None), ~c.was_cancelled]
    with store.read() as connection:
        ids = connection.execute(sa.select(c.server, c.id).where(*alive)).all()
    by_server: dict[str, list[int]] = {}
    for server, number in ids:
        by_server.setdefault(server, []).append(number)
    for server, numbers in sorted(by_server.items()):
        numbers.sort()
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            own = reader.rows(server, some)
            ids_of_tasks = {each["task_id"] for each in own}
            where = scores.c.server == server, scores.c.annotation_id.in_(some)
            rows = [row for each in store.rows(scores, *where) if (row := flat(each)) is not None]
            shown = tasks.c.server == server, tasks.c.id.in_(ids_of_tasks)
            yield store.rows(tasks, *shown), own, rows


class AuditLists:
    """The lists of the projects that were asked for last. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reader = FirstKeys(store)
        self._lock = threading.Lock()
        self._lists: dict[ProjectKey | None, AuditList] = {}
        self.made = 0  # lists until now
        self._at_work: set[ProjectKey | None] = set()

    def get(self, project: ProjectKey | None, annotations: int) -> AuditList:
        """The list of a project with so many annotations, or the last one and another begun."""
        version = self._store.ledger.look().version
        with self._lock:
            known = self._lists.get(project, AuditList())
            if known.version == version:
                return known
            if annotations >= MANY:
                if project not in self._at_work:
                    self._at_work.add(project)
                    thread = threading.Thread(
                        target=self._work, args=[project], name="qa-audit", daemon=True
                    )
                    if not started(thread, "the audit list waits"):
                        self._at_work.discard(project)
                return known
        return self._keep(project, make_list(self._store, project, self._reader))

    def reasons(self, place: Place, project: ProjectKey) -> set[str]:
        """Codes for which a frame of a project is on a list, the newest of those kept first."""
        with self._lock:
            kept = list(self._lists.values())[::-1]
        if not kept:
            rows = self._store.ledger.look().rows
            own = rows.where("kind", "annotation") & of_project_rows(rows, project)
            kept = [self.get(project, int(own.sum()))]
        listed = (suspect for made in kept for suspect in made.suspects)
        return next((codes_of(s) for s in listed if place_of(s) == place), set())

    def _work(self, project: ProjectKey | None) -> None:
        """Make the list until nothing has changed meanwhile, with rests between."""
        try:
            while not self._store.closed.is_set():
                start = time.monotonic()
                made = self._keep(project, make_list(self._store, project, self._reader))
                if made.version == self._store.ledger.look().version:
                    break
                self._store.closed.wait(REST * (time.monotonic() - start))
        except (SQLAlchemyError, OSError) as error:
            if not self._store.closed.is_set():
                logger.warning("the audit list waits: %s", type(error).__name__)
        finally:
            with self._lock:
                self._at_work.discard(project)

    def _keep(self, project: ProjectKey | None, made: AuditList) -> AuditList:
        with self._lock:
            self._lists.pop(project, None)
            self._lists[project] = made
            self.made += 1
            while len(self._lists) > KEPT:
                del self._lists[next(iter(self._lists))]
        return made
