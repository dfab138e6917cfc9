"""The backends that share a database: each tells the others which model it has, and how far."""

import logging
import platform
import time
import uuid
from dataclasses import dataclass

import sqlalchemy as sa

from backend.database.engine import clock, patience, short
from backend.database.schema import replicas as table
from backend.database.transactions import reading, writing

logger = logging.getLogger(__name__)

TELL_S = 15.0  # between two times that a backend tells of itself
GONE_S = 45.0  # seconds without a word after which it counts as gone
FORGET_S = 86400.0
WAIT_S = 0.3  # for the database: whoever looks after the parts of a backend has more to look at


@dataclass(frozen=True)
class Replica:
    """One backend: where it runs, its model's version, and that model's state."""

    name: str
    machine: str
    version: str
    state: str


class Replicas:
    """This backend among those that share its database. Safe for threads and processes."""

    def __init__(self, engine: sa.Engine) -> None:
        self.own = uuid.uuid4().hex
        self._engine = engine
        self._told: tuple[str, str] | None = None
        self._told_at = 0.0

    def tell(self, version: str, state: str) -> None:
        """Let the others know that this one lives; cheap where that was said just now.

        Raises:
            SQLAlchemyError: the database cannot be written just now.
        """
        news = version, state
        if news == self._told and time.monotonic() - self._told_at < TELL_S:
            return
        with patience(WAIT_S), writing(self._engine) as connection:
            now = clock(connection)
            old = (table.c.name == self.own) | ~table.c.seen.between(now - FORGET_S, now + GONE_S)
            connection.execute(table.delete().where(old))
            row = {"name": self.own, "machine": platform.node()[:200], "seen": now}
            connection.execute(table.insert().values(**row, version=version, state=state))
        self._told, self._told_at = news, time.monotonic()

    def all(self) -> list[Replica]:
        """Those that live, this one too once it has told of itself.

        Raises:
            SQLAlchemyError: the database cannot be read.
        """
        with reading(self._engine) as connection:
            now = clock(connection)
            # Who was seen later than now was so by a wrong clock, and tells again if it lives.
            alive = table.c.seen.between(now - GONE_S, now + GONE_S)
            rows = connection.execute(sa.select(table).where(alive).order_by(table.c.name)).all()
        return [Replica(row.name, row.machine, row.version, row.state) for row in rows]

    def ready_elsewhere(self, version: str) -> bool:
        """Whether another backend predicts this version; False where the database cannot tell."""
        try:
            found = self.all()
        except sa.exc.SQLAlchemyError as error:
            logger.warning("the other backends cannot be asked for: %s", short(error))
            return False
        return any(
            each.name != self.own and each.version == version and each.state == "ready"
            for each in found
        )

    def close(self) -> None:
        """This one ends; where the database cannot be written, the others see it by the time."""
        try:
            with patience(WAIT_S), writing(self._engine) as connection:
                connection.execute(table.delete().where(table.c.name == self.own))
        except sa.exc.SQLAlchemyError as error:
            logger.warning("the others are not told of the end: %s", short(error))
