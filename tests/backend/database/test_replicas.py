"""Backends on one database know of each other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import migrate, open_engine
from backend.database.keys import ProjectKey
from backend.database.replicas import GONE_S, Replicas
from backend.database.webhook_states import WebhookStates
from backend.web.checks import sharing
from tests.backend.qa.test_spool import locked_by_another

KEY = ProjectKey("http://localhost:8080", 1)


class Connections:
    """Its servers have no keys but those that were announced."""

    def __init__(self, *servers: str) -> None:
        self.servers = [*servers]

    def without_key(self) -> list[str]:
        return self.servers


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/quality.sqlite3")
    migrate(engine)
    yield engine
    engine.dispose()


def test_who_lives_and_who_has_the_model(engine: sa.Engine) -> None:
    one, two = Replicas(engine), Replicas(engine)
    one.tell("v1", "failed")
    assert not one.ready_elsewhere("v1")
    two.tell("v1", "loading")
    assert not one.ready_elsewhere("v1")
    two.tell("v1", "ready")
    assert one.ready_elsewhere("v1")
    assert not one.ready_elsewhere("v2")
    assert not two.ready_elsewhere("v1")
    assert {(each.version, each.state) for each in one.all()} == {("v1", "failed"), ("v1", "ready")}
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        seen = schema.replicas.c.seen
        connection.execute(
            schema.replicas.update()
            .where(schema.replicas.c.name == two.own)
            .values(seen=seen - GONE_S)
        )
    assert not one.ready_elsewhere("v1")  # nobody has heard of it for long
    one.close()
    assert one.all() == []


def test_who_was_seen_by_a_clock_that_was_wrong_does_not_live_for_a_year(
    engine: sa.Engine,
) -> None:
    one, dead = Replicas(engine), Replicas(engine)
    one.tell("v1", "failed")
    dead.tell("v1", "ready")
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        table = schema.replicas
        ahead = table.update().values(seen=table.c.seen + 365 * 86400)
        connection.execute(ahead.where(table.c.name == dead.own))
    assert not one.ready_elsewhere("v1")
    one.tell("v1", "ready")
    with engine.connect() as connection:
        assert connection.execute(sa.select(schema.replicas.c.name)).scalars().all() == [one.own]


def test_what_is_told_of_them(engine: sa.Engine) -> None:
    one, two = Replicas(engine), Replicas(engine)
    one.tell("v1", "ready")
    assert sharing(one.all(), Connections("http://ls")).level == "ok"  # type: ignore[arg-type]
    two.tell("v1", "ready")
    check = sharing(one.all(), Connections())  # type: ignore[arg-type]
    assert (check.level, check.numbers) == ("ok", {"count": 2})
    check = sharing(one.all(), Connections("http://ls"))  # type: ignore[arg-type]
    assert check.level == "warning"
    assert "VIDEOGEM_LABEL_STUDIO_API_KEY for http://ls" in check.fix
    two.tell("v2", "ready")
    check = sharing(one.all(), Connections())  # type: ignore[arg-type]
    assert check.level == "warning"
    assert "v1 ready" in check.found
    assert "v2 ready" in check.found
    assert "VIDEOGEM_MODEL" in check.fix


def test_what_one_found_of_a_webhook_the_others_know(engine: sa.Engine) -> None:
    one, two = WebhookStates(engine), WebhookStates(engine)
    one.heard(KEY, "balancer:9090")
    two.refresh()
    assert two.get(KEY).host == "balancer:9090"
    two.note(KEY, "ok", "corrections are reported")
    one.refresh()
    assert one.get(KEY).words == "corrections are reported"
    two.forget(KEY)
    one.refresh()
    assert one.all() == {}


def test_what_was_found_while_the_database_was_locked_is_kept_when_it_is_free(
    engine: sa.Engine, tmp_path: Path
) -> None:
    from backend.database.engine import patience

    one, two = WebhookStates(engine), WebhookStates(engine)
    with locked_by_another(tmp_path / "quality.sqlite3"), patience(0.05):
        one.heard(KEY, "balancer:9090")
        one.refresh()
        assert one.get(KEY).host == "balancer:9090"
    one.refresh()
    two.refresh()
    assert two.get(KEY).host == "balancer:9090"
