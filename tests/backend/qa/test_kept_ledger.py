"""A process that starts goes on from the columns that another one kept."""

import logging

import pytest

from backend.database import schema
from backend.qa import kept_ledger, ledger
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.qa_events import annotation, box, created, deleted
from tests.qa_world import team_events

SERVER = "http://küche.example"


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A database with reviews of 40 tasks whose columns are kept."""
    monkeypatch.setattr(ledger, "KEEP_AFTER", 1)
    found = f"sqlite:///{tmp_path}/qa.db"
    store = Store(found)
    for event in team_events(40):
        store.append_event(event, SERVER)
    store.process_pending()
    store.ledger.look()
    store.ledger.keep(store.write)
    store.close()
    return found


def rows_read_for(url):
    """How many rows a new process reads for its report, which is that of all rows."""
    new, anew = Store(url), Store(url)
    try:
        anew.ledger._begin = lambda connection, version: None  # reads every row
        reports = [build_report(store, Filters()) for store in (new, anew)]
        for report in reports:
            report.pop("audit_as_of")
        assert reports[0] == reports[1]
        return new.ledger.rows_read
    finally:
        new.close()
        anew.close()


def number_of_rows(url):
    store = Store(url)
    try:
        return len(store.rows(schema.scores))
    finally:
        store.close()


def change(url, statement):
    store = Store(url)
    try:
        with store.write() as connection:
            assert connection.execute(statement).rowcount == 1
    finally:
        store.close()


def test_nothing_is_read_again(url):
    assert number_of_rows(url) > 100
    assert rows_read_for(url) == 0


def test_only_what_changed_since_is_read(url):
    store = Store(url)
    extra = annotation(900, [box(1, 1, 5, 5)], task=1003, project=7, second=99, completed_by=4)
    store.append_event(created(extra, narration="öffne die Dose"), SERVER)
    store.append_event(deleted(5, project=7), SERVER)
    store.process_pending()
    own = store.rows(schema.scores, schema.scores.c.task_id.in_((1003, 1005)))
    store.close()
    assert rows_read_for(url) == len(own)


def test_what_was_worked_out_anew_is_read_anew(url):
    store = Store(url)
    store.recompute()
    store.close()
    assert rows_read_for(url) == number_of_rows(url)


@pytest.mark.parametrize(
    "values",
    [
        {"rules": "of another version"},
        {"change": 10**6},  # the database is an older copy
        {"body": b"damaged"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_cannot_be_used_is_not(url, values, caplog):
    change(url, schema.kept_ledger.update().values(**values))
    with caplog.at_level(logging.WARNING):
        assert rows_read_for(url) == number_of_rows(url)
    assert ("cannot be read" in caplog.text) == ("body" in values)


def test_few_rows_are_not_kept_and_many_are_once(url, monkeypatch):
    store = Store(url)
    try:
        assert not store.ledger.keep(store.write)  # nobody looked
        store.ledger.look()
        assert not store.ledger.keep(store.write)  # they are those that are kept
        store.recompute()
        store.ledger.look()
        monkeypatch.setattr(ledger, "KEEP_AFTER", number_of_rows(url) + 1)
        assert not store.ledger.keep(store.write)
        monkeypatch.setattr(ledger, "KEEP_AFTER", number_of_rows(url))
        assert store.ledger.keep(store.write)
        assert not store.ledger.keep(store.write)
    finally:
        store.close()
    assert rows_read_for(url) == 0


def test_newer_columns_of_another_process_stay(url):
    behind, ahead = Store(url), Store(url)
    try:
        behind.recompute()
        behind.ledger.look()
        ahead.append_event(deleted(5, project=7), SERVER)
        ahead.process_pending()
        ahead.ledger.look()
        assert ahead.ledger.keep(ahead.write)
        assert not behind.ledger.keep(behind.write)
        with ahead.read() as connection:
            assert kept_ledger.kept_version(connection) == ahead.ledger.look().version
    finally:
        behind.close()
        ahead.close()


def test_a_running_service_keeps_them_by_itself(url):
    store = Store(url)
    try:
        store.recompute()
        version = store.ledger.look().version
        store.append_event(deleted(5, project=7), SERVER)  # wakes the worker
        for _ in range(300):
            with store.read() as connection:
                if kept_ledger.kept_version(connection) == version:
                    break
            store.closed.wait(0.1)
        else:
            pytest.fail("nothing was kept")
    finally:
        store.close()
