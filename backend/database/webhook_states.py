"""What is known of each project's webhook, kept over restarts."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa

from backend.database.keys import ProjectKey
from backend.database.schema import project_webhooks as table
from backend.database.servers import MAX_PROJECTS
from backend.database.texts import storable
from backend.database.transactions import writing

logger = logging.getLogger(__name__)
State = Literal["unknown", "ok", "mended", "failed"]


@dataclass(frozen=True)
class Webhook:
    """How a project calls this backend, and what was found of the webhook that leads there."""

    host: str = ""  # with its port, as in the requests of /setup; empty where none came yet
    state: State = "unknown"
    words: str = "nobody has looked yet"
    at: float = 0.0  # Unix time since when it is so


class WebhookStates:
    """The webhooks of all projects. Safe for threads; reading them never waits for the database.

    Without an engine, or while the database cannot be written, what is told lasts as long as this
    process.
    """

    def __init__(self, engine: sa.Engine | None = None) -> None:
        self._engine = engine
        self._known: dict[ProjectKey, Webhook] = {}
        self._unwritten: set[ProjectKey] = set()  # while the database is locked or gone
        self._changes = 0
        self._lock = threading.Lock()
        self.refresh()

    def get(self, key: ProjectKey) -> Webhook:
        """What is known of one project."""
        with self._lock:
            return self._known.get(key, Webhook())

    def all(self) -> dict[ProjectKey, Webhook]:
        """What is known of every project that ever called."""
        with self._lock:
            return dict(sorted(self._known.items()))

    def heard(self, key: ProjectKey, host: str) -> None:
        """A project called /setup as ``host``."""
        old = self.get(key)
        if old.host != host[:300]:
            self._put(key, replace(old, host=host[:300]))

    def note(self, key: ProjectKey, state: State, words: str) -> None:
        """Keep what a look at the webhook found."""
        words = storable(words)
        old = self.get(key)
        if (old.state, old.words) != (state, words):
            self._put(key, replace(old, state=state, words=words, at=time.time()))

    def forget(self, key: ProjectKey) -> None:
        """The project is gone."""
        with self._lock:
            self._known.pop(key, None)
            self._changes += 1
        self._write(key, None)

    def _put(self, key: ProjectKey, new: Webhook) -> None:
        with self._lock:
            old = self._known.get(key)
            if old is None and len(self._known) >= MAX_PROJECTS:
                return
            self._known[key] = new
            self._changes += 1
            if self._engine is not None:
                self._unwritten.add(key)
        if old != new:
            self._write(key, new)

    def refresh(self) -> None:
        """Take over what other backends on this database have found or heard since."""
        if self._engine is None:
            return
        with self._lock:
            unwritten, before = sorted(self._unwritten), self._changes
        for key in unwritten:
            with self._lock:
                new = self._known.get(key)
            self._write(key, new)
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(sa.select(table)).all()
        except sa.exc.SQLAlchemyError as error:
            logger.warning("the state of webhooks cannot be read: %s", type(error).__name__)
            return
        found = {
            ProjectKey(row.server, row.project_id): Webhook(row.host, row.state, row.words, row.at)
            for row in rows
        }
        with self._lock:
            if self._changes == before:  # else what was read may be older: the next look is soon
                own = {key: self._known[key] for key in self._unwritten & self._known.keys()}
                self._known = found | own

    def _write(self, key: ProjectKey, new: Webhook | None) -> None:
        if self._engine is None:
            return
        where = table.c.server == key.server, table.c.project_id == key.id
        with self._lock:
            self._unwritten.add(key)
        try:
            with writing(self._engine) as connection:
                connection.execute(table.delete().where(*where))
                if new is not None:
                    row = {"server": key.server, "project_id": key.id, **vars(new)}
                    connection.execute(table.insert().values(**row))
        except sa.exc.SQLAlchemyError as error:  # it is tried again at the next refresh
            logger.warning("the state of a webhook cannot be kept: %s", type(error).__name__)
            return
        with self._lock:
            self._changes += 1  # whoever read the table before has what was there before
            self._unwritten.discard(key)
