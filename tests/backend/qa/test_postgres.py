"""The same store on PostgreSQL; needs its server programs, and says so where they are missing."""

import itertools
import random
import threading
import time
from contextlib import closing

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.backend.prediction.test_batch import wait_for
from tests.postgres import MISSING, postgres, server_program
from tests.qa_acceptance import check_migration_of_0010
from tests.qa_events import all_recorded
from tests.qa_marks import check_marks, check_migration_of_0009
from tests.qa_servers import (
    check_hostile_values,
    check_migration,
    check_migration_of_0004,
    check_two_servers,
)
from tests.qa_world import team_events

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def url():
    if server_program("initdb") is None:
        pytest.skip(MISSING)
    with postgres() as started:
        yield started


@pytest.fixture
def empty_url(url):
    """A database of its own."""
    name = f"empty{next(NUMBERS)}"
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.removesuffix("postgres") + name


def test_two_servers_with_the_same_ids_do_not_mix(empty_url):
    store = Store(empty_url)
    check_two_servers(store)
    store.close()


def test_a_store_of_before_is_migrated_without_loss(empty_url):
    check_migration(empty_url)


def test_a_store_of_the_fourth_revision_is_migrated_without_loss(empty_url):
    check_migration_of_0004(empty_url)


def test_marks_and_their_migration_up_and_down(empty_url):
    check_migration_of_0009(empty_url)
    with closing(Store(empty_url)) as store:
        store.adopt("http://emptied.example")
        check_marks(store)


def test_bulk_acceptance_and_the_rating_of_annotators(empty_url):
    check_migration_of_0010(empty_url)


def test_values_that_json_allows_and_postgresql_does_not(empty_url):
    store = Store(empty_url)
    try:
        check_hostile_values(store)
    finally:
        store.close()


def rows_of(store, table):
    return [
        {k: bool(v) if k == "deleted_at" else v for k, v in row.items()}
        for row in store.rows(table)
    ]


def test_postgresql_reaches_the_state_that_sqlite_reaches(url, tmp_path):
    events = team_events() + all_recorded()
    shuffled = events * 2
    random.Random(1).shuffle(shuffled)
    opened = []
    threads = [threading.Thread(target=lambda: opened.append(Store(url))) for _ in range(3)]
    for thread in threads:  # three processes that start, and migrate, at once
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 3

    took = []

    def append(store, part):
        for event in part:
            before = time.monotonic()
            store.append_event(event)
            took.append(time.monotonic() - before)

    threads = [
        threading.Thread(target=append, args=(store, shuffled[k::3]))
        for k, store in enumerate(opened)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # All three work at it, and whoever asks for it may wait longer than anybody's patience.
    wait_for(lambda: opened[0].inbox_counts()["waiting"] == 0, seconds=240)
    assert opened[0].inbox_counts() == {"events": len(shuffled), "waiting": 0, "failed": 0}
    assert sorted(took)[len(took) // 2] < 0.1

    plain = Store(f"sqlite:///{tmp_path}/qa.db")
    for event in events:
        plain.append_event(event)
    plain.process_pending()
    for table in (schema.tasks, schema.annotations, schema.predictions, schema.scores):
        assert rows_of(opened[1], table) == rows_of(plain, table), table.name
    left, right = (build_report(store, Filters()) for store in (opened[2], plain))
    for name in ("headline", "subsets", "outcomes", "breakdowns", "audit_counts"):
        assert left[name] == right[name], name
    for store in (*opened, plain):
        store.close()
