"""Which server each project is on, kept over restarts: /predict and webhooks do not say it.

Label Studio tells its name in /setup only; everywhere a project comes with its id and the moment
it was made, and these two name it among all servers.
"""

import logging
import threading

import sqlalchemy as sa

from backend.database.changes import note_rebuilt
from backend.database.keys import ProjectKey
from backend.database.schema import (
    PREDICTIONS_KNOWN,
    annotations,
    audit_marks,
    facts,
    inbox,
    predictions,
    project_webhooks,
    projects,
    quality_targets,
    review_rounds,
    scores,
    tasks,
)
from backend.database.schema import project_servers as table
from backend.database.transactions import writing

logger = logging.getLogger(__name__)
MAX_PROJECTS = 10_000  # anybody who may call /setup can name projects


class ProjectServers:
    """The server of each (id, creation) that was ever announced. Safe for threads and processes.

    Without an engine it lasts as long as this process. While the database cannot be read, what
    this process has seen before still counts.
    """

    def __init__(self, engine: sa.Engine | None = None) -> None:
        self._engine = engine
        self._seen: dict[tuple[int, int], str] = {}
        self._lock = threading.Lock()

    def get(self, project: int, created: int) -> str | None:
        """The server of the project with this id that was made in this second (Unix time)."""
        query = sa.select(table.c.server).where(
            table.c.project_id == project, table.c.created == created
        )
        if self._engine is not None:
            try:
                with self._engine.connect() as connection:
                    server: str | None = connection.execute(query).scalar()
            except sa.exc.SQLAlchemyError as error:
                logger.warning("the servers of projects cannot be read: %s", type(error).__name__)
            else:
                return server
        with self._lock:
            return self._seen.get((project, created))

    def put(self, project: int, created: int, server: str) -> None:
        """Remember a project's server; another one known before is replaced."""
        with self._lock:
            self._seen[project, created] = server
            while len(self._seen) > MAX_PROJECTS:
                del self._seen[next(iter(self._seen))]
        if self._engine is None:
            return
        try:
            self._put(project, created, server)
        except sa.exc.SQLAlchemyError as error:  # the next /setup tells it again
            logger.warning("the server of a project cannot be kept: %s", type(error).__name__)

    def _put(self, project: int, created: int, server: str) -> None:
        assert self._engine is not None
        key = {"project_id": project, "created": created}
        where = [table.c[name] == value for name, value in key.items()]
        known, update = sa.select(table.c.server).where(*where), table.update().where(*where)
        for _ in range(2):  # a second process may insert the same in between
            try:
                with writing(self._engine) as connection:
                    old = connection.execute(known).scalar()
                    if old not in (None, server):
                        move(connection, old, server, project)
                    if connection.execute(update.values(server=server)).rowcount == 0:
                        count = sa.select(sa.func.count()).select_from(table)
                        if connection.execute(count).scalar_one() >= MAX_PROJECTS:
                            logger.warning("%d projects are known; no more are kept", MAX_PROJECTS)
                            return
                        connection.execute(table.insert().values(**key, server=server))
                    return
            except sa.exc.IntegrityError:
                continue

    def of_id(self, project: int) -> set[str]:
        """All servers that have a project of this id."""
        return {key.server for key in self.all() if key.id == project}

    def all(self) -> set[ProjectKey]:
        """Every project that was announced."""
        if self._engine is not None:
            query = sa.select(table.c.server, table.c.project_id)
            try:
                with self._engine.connect() as connection:
                    found = connection.execute(query).all()
            except sa.exc.SQLAlchemyError as error:
                logger.warning("the servers of projects cannot be read: %s", type(error).__name__)
            else:
                return {ProjectKey(server, id) for server, id in found}
        with self._lock:
            return {ProjectKey(server, id) for (id, _), server in self._seen.items()}


def move(connection: sa.Connection, old: str, new: str, project: int | None = None) -> int:
    """Give rows of one server (of one project there) to another; the number moved.

    Where both have a row of an id, the new server's own stays.
    """
    moved = 0
    owned = (
        projects, tasks, annotations, predictions, scores, project_webhooks, quality_targets,
        review_rounds, audit_marks,
    )  # fmt: skip
    for rows in owned:
        twin = rows.alias()
        ids = [c.name for c in rows.primary_key if c.name != "server"]
        same = [twin.c[name] == rows.c[name] for name in ids]
        mine = [rows.c.server == old]
        if project is not None:
            mine.append((rows.c.id if rows is projects else rows.c.project_id) == project)
        taken = sa.exists().where(twin.c.server == new, *same)
        connection.execute(rows.delete().where(*mine, taken))
        moved += connection.execute(rows.update().where(*mine).values(server=new)).rowcount
    if moved:
        note_rebuilt(connection)
        connection.execute(facts.delete().where(facts.c.name == PREDICTIONS_KNOWN))
    if project is None:
        connection.execute(inbox.update().where(inbox.c.server == old).values(server=new))
    return moved
