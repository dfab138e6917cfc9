"""The audit list of a project: made of some rows at a time, whatever their number."""

import shutil
import time

import pytest

from backend.database.keys import ProjectKey
from backend.qa import audit, audit_lists
from backend.qa.audit_lists import AuditLists, make_list
from backend.qa.reports import Reports
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.no_threads import no_threads
from tests.qa_events import annotation, box, created, point, prediction
from tests.qa_world import team_events


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    path = tmp_path_factory.mktemp("reviewed") / "qa.db"
    store = Store(f"sqlite:///{path}")
    for server in ("", "http://two.example"):
        for event in team_events(60):
            store.append_event(event, server)
    store.process_pending()
    store.close()
    return path


@pytest.fixture
def store(tmp_path, reviewed):
    shutil.copy(reviewed, tmp_path / "qa.db")
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()


@pytest.mark.parametrize("project", [None, ProjectKey("", 7)])
def test_the_list_is_the_same_however_many_rows_are_read_at_once(store, project, monkeypatch):
    whole = make_list(store, project).suspects
    assert whole
    read = []
    rows = store.rows
    monkeypatch.setattr(store, "rows", lambda *asked: read.append(rows(*asked)) or read[-1])
    monkeypatch.setattr(audit_lists, "AT_ONCE", 7)
    monkeypatch.setattr(audit, "AT_ONCE", 3)
    assert make_list(store, project).suspects == whole
    assert max(map(len, read)) <= 7 * 3  # an annotation, its point and its box


def test_annotations_that_are_skipped_are_no_suspects(store):
    listed = {suspect["annotation_id"] for suspect in make_list(store, None).suspects}
    assert not listed & {17, 34, 51}


def test_a_list_is_made_after_a_moment_without_threads(store, monkeypatch):
    monkeypatch.setattr(audit_lists, "MANY", 1)
    lists = AuditLists(store)
    with no_threads("qa-audit"):
        assert lists.get(None, 120).version is None
    deadline = time.monotonic() + 30
    while not lists.get(None, 120).suspects:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_figures_are_read_and_made_after_a_moment_without_threads(store, monkeypatch):
    monkeypatch.setattr("backend.qa.reports.MANY", 1)
    with no_threads("qa-read"):
        assert store.ledger.being_read() is None  # nobody waits for a thread that is not there
    reports = Reports(store, tolerance=5.0)
    figure = reports.page(Filters())[0]["headline"]["n"]
    store.append_event(created(annotation(999, [box(1, 1, 9, 9)], task=9, prediction=prediction(
        [point(2, 2)], id=999))))  # fmt: skip
    with no_threads("qa-report"):
        assert reports.page(Filters())[0]["headline"]["n"] == figure
    deadline = time.monotonic() + 30
    while reports.page(Filters())[0]["headline"]["n"] == figure:
        assert time.monotonic() < deadline
        time.sleep(0.02)
