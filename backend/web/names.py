"""What annotators and projects are called: asked of Label Studio in the background, and kept.

Pages never wait for it. Until a name is there, and where Label Studio does not tell, the number
stands for it; an old name is better than none. Names are kept in memory alone.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.connections import Connections
from backend.qa.store import Store
from backend.qa.views import annotator_text
from backend.threads import started

logger = logging.getLogger(__name__)
FRESH_S = 600.0  # that names are used without asking again
RETRY_S = 30.0  # after a failure, or where somebody is not among them yet
LONGEST = 60  # characters of a name
MOST_TITLES = 1000  # projects whose titles are kept


@dataclass(frozen=True)
class Person:
    """Somebody with an account in Label Studio."""

    name: str
    email: str


class Names:
    """Names by Label Studio's numbers. Safe to share between threads."""

    def __init__(
        self,
        connections: Connections,
        store: Store,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._people: dict[str, dict[int, Person]] = {}  # by server
        self._titles: dict[ProjectKey, str] = {}  # of projects the store does not know
        self._wanted: set[ProjectKey] = set()
        self._sought: dict[ProjectKey, float] = {}  # when their titles were asked for last
        self._asked: dict[str, tuple[float, bool]] = {}  # when last, and whether it was answered
        self._at_work = False

    def person(self, annotator: object, *, emails: bool = False) -> str:
        """An annotator, ``3`` or ``3@http://server``, by name; with ``emails`` by these where
        there is no name, or where two have the same.
        """
        number, _, server = str(annotator).partition("@")
        if not (number.isascii() and number.isdecimal()):
            return annotator_text(annotator)
        server = server or self._only_server()
        people = self._people.get(server, {})
        known = people.get(int(number))
        self.look(missing=server if known is None else "")
        if known is None:
            return annotator_text(annotator)
        email = known.email if emails else ""
        if not known.name:
            return email or annotator_text(annotator)
        same = Counter(person.name for person in people.values())[known.name]
        return known.name if same == 1 else f"{known.name} ({email or number})"

    def title(self, key: ProjectKey) -> str:
        """A project's title; empty where it is not known yet."""
        c = schema.projects.c
        try:
            rows = self._store.rows(schema.projects, c.server == key.server, c.id == key.id)
        except SQLAlchemyError as error:
            logger.warning("the title of a project cannot be read: %s", type(error).__name__)
            rows = []
        found = plain_text(rows[0]["title"]) if rows else ""
        with self._lock:
            found = found or self._titles.get(key, "")
        if not found:
            self.want_title(key)
        return found

    def want_title(self, key: ProjectKey) -> None:
        """Ask for a project's title, so that it is there when somebody looks."""
        with self._lock:
            due = self._clock() - self._sought.get(key, float("-inf")) >= FRESH_S
            if due and len(self._sought) + len(self._wanted) < MOST_TITLES:
                self._wanted.add(key)
        self.look()

    def look(self, missing: str = "") -> None:
        """Ask, behind whoever calls, servers whose names are old or that lack the ``missing``."""
        with self._lock:
            if self._at_work:
                return
            due = [
                (name, server)
                for name, server in self._connections.servers().items()
                if server.has_token
                and (self._is_due(name, missing=name == missing) or self._wanted_of(name))
            ]
            if not due:
                return
            self._at_work = True
        thread = threading.Thread(target=self._work, args=[due], name="names", daemon=True)
        if not started(thread, "names wait"):
            with self._lock:
                self._at_work = False

    def ask(self) -> None:
        """Ask every server now, and wait for it: for programs that run once."""
        servers = self._connections.servers().items()
        self._ask([(name, server) for name, server in servers if server.has_token])

    def _is_due(self, server: str, *, missing: bool) -> bool:
        at, answered = self._asked.get(server, (float("-inf"), False))
        return self._clock() - at >= (FRESH_S if answered and not missing else RETRY_S)

    def _only_server(self) -> str:
        servers = self._connections.servers()
        return next(iter(servers)) if len(servers) == 1 else ""

    def _work(self, due: list[tuple[str, LabelStudio]]) -> None:
        try:
            self._ask(due)
        finally:
            with self._lock:
                self._at_work = False

    def _ask(self, due: list[tuple[str, LabelStudio]]) -> None:
        for name, server in due:
            if self._is_due(name, missing=True):
                try:
                    self._people[name] = read_people(server.rows("/api/users/", {}))
                    self._asked[name] = self._clock(), True
                except LabelStudioError as error:
                    logger.info("names of people wait: %s", error)
                    self._asked[name] = self._clock(), False
            with self._lock:
                wanted = self._wanted_of(name)
            for key in wanted:
                title = ""
                try:
                    title = plain_text(server.project(key.id).get("title"))
                except LabelStudioError as error:
                    logger.info("the title of project %d waits: %s", key.id, error)
                with self._lock:
                    self._wanted.discard(key)
                    self._sought[key] = self._clock()
                    if title:
                        self._titles[key] = title

    def _wanted_of(self, server: str) -> list[ProjectKey]:
        return sorted(key for key in self._wanted if key.server == server)


def read_people(rows: list[dict[str, Any]]) -> dict[int, Person]:
    """Label Studio's list of users by their numbers."""
    return {row["id"]: Person(_name(row), plain_text(row.get("email"))) for row in rows}


def plain_text(value: object) -> str:
    """A name somebody chose, in one line and no longer than it can be shown.

    Marks that turn the direction of writing are taken out: they turn what follows, too.

    >>> plain_text("Ana\\u202e \\n Lima"), plain_text(None)
    ('Ana Lima', '')
    """
    text = value if isinstance(value, str) else ""
    shown = "".join(c if c.isprintable() else " " for c in text)
    whole = " ".join(shown.split())
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"


def _name(row: Mapping[str, Any]) -> str:
    # User names are no names: Label Studio makes them of the e-mail address.
    return plain_text(" ".join(plain_text(row.get(part)) for part in ("first_name", "last_name")))
