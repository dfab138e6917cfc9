"""How the parts of a running backend do, for `/health?details`.

A thread looks every few seconds and keeps what it found, so that whoever asks never waits for a
database, a disk or a Label Studio that does not answer.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from backend.database.engine import patience
from backend.database.replicas import Replicas
from backend.label_studio.client import WHOAMI, LabelStudioError
from backend.label_studio.connections import Connections
from backend.label_studio.webhooks import WebhookKeeper
from backend.prediction.jobs import Jobs
from backend.prediction.model import Models
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.checks import (
    LEVELS,
    LOCK_S,
    Check,
    Level,
    data_folder,
    database,
    inbox,
    label_studio,
    one_line,
    projects_in_step,
    sharing,
    spooled,
)

logger = logging.getLogger(__name__)

LOOK_S = 5.0  # between two looks at what is on this machine
ASK_S = 60.0  # between two questions to a Label Studio that nobody called meanwhile
ASK_TIMEOUT = (2, 10)  # seconds to connect, and for the answer
OLD_JOB_S = 3600.0  # seconds without any change after which the job list seems to stand still


class States:
    """What a running service last found of its parts."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        store: Store,
        connections: Connections,
        jobs: Jobs,
        webhooks: WebhookKeeper,
        replicas: Replicas,
    ) -> None:
        self._settings = settings
        self._models = models
        self._store = store
        self._connections = connections
        self._jobs = jobs
        self._webhooks = webhooks
        self._replicas = replicas
        self._found: tuple[Check, ...] = ()
        self._at = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="states", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._end.set()

    def as_json(self) -> dict[str, Any]:
        """The worst level, when was looked, and all checks."""
        checks = [*self._found, *self._at_hand()]
        worst = max((check.level for check in checks), key=LEVELS.index, default="ok")
        age = time.monotonic() - self._at if self._at else None
        return {
            "level": worst,
            "looked_seconds_ago": None if age is None else round(age, 1),
            "checks": [check.as_json() for check in checks],
        }

    def _at_hand(self) -> Iterator[Check]:
        """What is known without waiting for anything."""
        status = self._models.default.status
        if status.state == "failed":
            yield Check("model", "failure", status.error or "failed", "See `videogem models`.")
        else:
            yield Check("model", "ok", f"{status.version}: {status.state}")
        for name, server in self._connections.servers().items():
            yield label_studio(name, server)
        for key, hook in self._webhooks.states.all().items():
            level: Level = "warning" if hook.state == "failed" else "ok"
            yield Check(
                f"project {key.id}: webhook", level, f"{key.server}: {hook.words}".lstrip(": ")
            )

    def look(self) -> None:
        """Look at what may keep us waiting."""
        found = [data_folder(self._settings.data_dir), database(self._store.engine)]
        found.append(spooled(self._store.spool))
        if found[1].level != "failure":
            self._webhooks.states.refresh()
            for look in (self._job_list, self._events, self._sharing):
                try:
                    found += look()
                except (sa.exc.SQLAlchemyError, OSError) as error:
                    found.append(Check("database", "warning", one_line(error)))
        self._found, self._at = tuple(found), time.monotonic()

    def _job_list(self) -> list[Check]:
        with patience(LOCK_S):
            counts = self._jobs.counts()
            oldest = self._jobs.waiting_since()
        numbers: dict[str, float] = {}
        for of_project in counts.values():
            for state, count in of_project.items():
                numbers[state] = numbers.get(state, 0) + count
        words = ", ".join(f"{count:g} {state}" for state, count in numbers.items()) or "empty"
        if oldest is not None:
            numbers["oldest_seconds"] = round(oldest, 1)
            words += f"; the oldest that waits or is worked at has not changed for {oldest:.0f} s"
        still = oldest is not None and oldest > OLD_JOB_S
        fix = "See the log, and /jobs." if still or numbers.get("failed") else ""
        level: Level = "warning" if still or numbers.get("failed") else "ok"
        return [Check("job list", level, words, fix, numbers)]

    def _events(self) -> list[Check]:
        store = self._store
        with patience(LOCK_S):
            counts = store.inbox_counts()
            with store.read() as connection:
                return [inbox(counts), *projects_in_step(connection)]

    def _sharing(self) -> list[Check]:
        status = self._models.default.status
        try:
            self._replicas.tell(status.version, status.state)
        except sa.exc.SQLAlchemyError as error:  # what was found of the database says it already
            logger.debug("the other backends are not told: %s", error)
        return [sharing(self._replicas.all(), self._connections)]

    def _ask(self) -> None:
        """Call servers that nobody has called for a while."""
        for server in self._connections.servers().values():
            if server.seen is not None and time.monotonic() - server.seen.at < ASK_S:
                continue
            path = WHOAMI if server.has_token else "/api/version"
            try:
                server.call("GET", path, timeout=ASK_TIMEOUT)
            except LabelStudioError as error:  # it is kept as what was last seen
                logger.debug("%s", error)

    def _work(self) -> None:
        ask = threading.Thread(target=self._often, args=(self._ask,), name="ask", daemon=True)
        ask.start()  # a server that does not answer must not make the rest old
        self._often(self.look)

    def _often(self, look: Callable[[], None]) -> None:
        while not self._end.is_set():
            try:
                look()
            except Exception:  # the top of a thread: the next round tries again
                logger.exception("the state of the backend could not be looked at")
            self._end.wait(LOOK_S)
