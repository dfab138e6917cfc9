"""Several Label Studios on one store (PostgreSQL: test_postgres.py)."""

import re

import pytest

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.database.servers import ProjectServers
from backend.qa import intake
from backend.qa.metrics_page import metrics_text
from backend.qa.queries import summary
from backend.qa.selection import Filters
from tests.qa_events import annotation, box, created
from tests.qa_servers import (
    GUESS,
    ONE,
    TWO,
    check_hostile_values,
    check_migration,
    check_migration_of_0004,
    check_two_servers,
)
from videogem.errors import InputError


def test_two_servers_with_the_same_ids_do_not_mix(store):
    check_two_servers(store)


def test_a_store_of_before_is_migrated_without_loss(tmp_path):
    check_migration(f"sqlite:///{tmp_path}/old.db")


def test_a_store_of_the_fourth_revision_is_migrated_without_loss(tmp_path):
    check_migration_of_0004(f"sqlite:///{tmp_path}/old.db")


def test_values_that_json_allows_and_a_database_may_not(store):
    check_hostile_values(store)


def test_a_number_that_two_servers_have_must_be_said_fully(store):
    check_two_servers(store)
    with pytest.raises(InputError, match=re.escape("1@http://one.example")):
        summary(store, ProjectKey("", 1))
    chosen = Filters.of({"project": "1@http://two.example"}).project
    assert chosen == TWO
    assert summary(store, chosen)["n"] == 0
    assert b'project="1",server="http://one.example"} 1.0' in metrics_text(store)


def test_rows_move_with_a_project_that_a_configured_server_claims(store):
    made = annotation(5, [box(20, 20, 20, 20)], task=5, parent_prediction=70, prediction=GUESS)
    servers = ProjectServers(store.engine)
    servers.put(1, 1_700_000_000, TWO.server)
    store.append_event(created(made), TWO.server)
    store.process_pending()
    servers.put(1, 1_700_000_000, ONE.server)
    assert summary(store, ONE)["n"] == 1
    assert {a["server"] for a in store.rows(schema.annotations)} == {ONE.server}


def test_an_event_that_is_read_while_its_server_becomes_known_is_of_that_server(store, monkeypatch):
    """Events are read before the database is locked; what waits may be given away in between."""
    write, adopted = intake.writing, []

    def write_later(engine):
        if not adopted and store.inbox_counts()["waiting"]:
            adopted.append(ONE.server)
            store.adopt(ONE.server)
        return write(engine)

    monkeypatch.setattr(intake, "writing", write_later)
    made = annotation(5, [box(20, 20, 20, 20)], task=5, parent_prediction=70, prediction=GUESS)
    store.append_event(created(made))
    store.process_pending()
    assert adopted
    assert {a["server"] for a in store.rows(schema.annotations)} == {ONE.server}
    assert summary(store, ONE)["n"] == 1
