"""The quality routes over HTTP."""

import html
import re
import threading
import time

import pytest
from flask import Flask

from backend.database.keys import ProjectKey
from backend.qa.report import build_report
from backend.qa.reports import Reports
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.targets import set_target
from backend.settings import Settings
from backend.web.quality import create_blueprint
from tests.backend.prediction.test_batch import wait_for
from tests.qa_events import annotation, box, created, point, prediction


@pytest.fixture
def store(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()


@pytest.fixture
def client(store, tmp_path):
    app = Flask("qa-test")
    app.register_blueprint(create_blueprint(store, Settings(data_dir=tmp_path)))
    return app.test_client()


def test_the_summary_has_its_five_fields_and_holds_what_was_just_stored(client, store):
    empty = {"n": 0, "hits": 0, "accuracy": None, "low": None, "high": None}
    assert client.get("/qa/summary.json?project=1").get_json() == empty
    guess = prediction([point(30, 30)], id=7)
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], prediction=guess)))
    found = client.get("/qa/summary.json?project=1").get_json()
    assert found == pytest.approx(
        {"n": 1, "hits": 1, "accuracy": 1.0, "low": 0.2065493, "high": 1.0}
    )
    assert client.get("/qa/summary.json?project=2").get_json() == empty
    assert client.get("/qa/summary.json").get_json() == found


def test_a_project_that_is_no_number_is_told_so(client):
    answer = client.get("/qa/summary.json?project=abc")
    assert answer.status_code == 400
    assert "abc" in answer.get_json()["error"]


def test_the_page_says_the_figure(client, store):
    assert "No labels came back yet" in client.get("/qa").get_data(as_text=True)
    guess = prediction([point(30, 30)], id=7)
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], prediction=guess)))
    assert "100.0" in client.get("/qa?project=1").get_data(as_text=True)


def test_a_list_that_is_still_being_made_is_not_called_empty(client, store, monkeypatch):
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)])))
    assert "Nothing suspicious found" in client.get("/qa/review").get_data(as_text=True)
    monkeypatch.setattr("backend.qa.audit_lists.MANY", 1)  # from which on it is made behind
    monkeypatch.setattr("backend.qa.audit_lists.AuditLists._work", lambda *_: None)
    store.append_event(created(annotation(2, [box(20, 20, 20, 20)])))
    other = client.get("/qa/review?project=1").get_data(as_text=True)
    assert "The list is being made" in other
    assert "Nothing suspicious found" not in other
    assert "The list is as of" in client.get("/qa/review").get_data(as_text=True)


def test_the_page_counts_what_is_left_out(client, store):
    guess = prediction([point(30, 30)], id=7)
    far = {**box(20, 20, 20, 20, id="far"), "original_width": 1e9}
    store.append_event(created(annotation(1, [box(20, 20, 20, 20), far], prediction=guess)))
    assert "1 regions that cannot be read" in client.get("/qa").get_data(as_text=True)


def test_readers_who_waited_for_one_report_share_it(store, monkeypatch):
    """Events come while it is made: each would else wait for a report of its own for each."""
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)])))
    made, together = [], threading.Barrier(9)

    def slow(*asked, **options):
        made.append(build_report(*asked, **options))
        if len(made) == 1:
            together.wait(60)  # the others wait by now, or come for a state of their own
            time.sleep(0.3)
        store.append_event(created(annotation(len(made) + 1, [box(20, 20, 20, 20)], task=2)))
        store.process_pending()
        return made[-1]

    monkeypatch.setattr("backend.qa.reports.build_report", slow)
    reports = Reports(store, tolerance=5.0)
    found = []

    def read():
        together.wait(60)
        found.append(reports.get(Filters())["skipped"]["n"])

    first = threading.Thread(target=reports.get, args=[Filters()])
    first.start()
    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in (first, *readers):
        reader.join(60)
    assert len(made) <= 3
    assert len(found) == 8
    assert min(found) >= 2  # all that came until they had their turn


def test_of_many_rows_a_page_shows_the_figures_of_before_until_newer_ones_are_made(
    store, monkeypatch
):
    def add(number):
        guess = prediction([point(30, 30)], id=number)
        event = created(annotation(number, [box(20, 20, 20, 20)], task=number, prediction=guess))
        store.append_event(event)
        store.process_pending()

    making, go_on = threading.Event(), threading.Event()

    def held(*asked, **options):
        if threading.current_thread().name == "qa-report":
            making.set()
            assert go_on.wait(60)
        return build_report(*asked, **options)

    monkeypatch.setattr("backend.qa.reports.build_report", held)
    monkeypatch.setattr("backend.qa.reports.MANY", 1)
    add(1)
    reports, filters = Reports(store, tolerance=5.0), Filters(project=ProjectKey("", 1))
    first, seen = reports.page(filters)
    add(2)
    before, still_seen = reports.page(filters)
    assert making.wait(60)
    assert first["headline"]["n"] == before["headline"]["n"] == 1
    assert reports.revision(filters) == still_seen == seen  # nothing newer to show yet
    set_target(store, ProjectKey("", 1), 0.9)
    assert reports.page(filters)[0]["target"] is not None
    go_on.set()
    assert reports.get(filters)["headline"]["n"] == 2  # who asks for figures gets the newest
    wait_for(lambda: reports.revision(filters) != seen)
    assert reports.page(filters)[0]["headline"]["n"] == 2
    assert reports.page(filters)[1] == reports.revision(filters)


def test_a_page_is_not_behind_for_long(store, monkeypatch):
    monkeypatch.setattr("backend.qa.reports.MANY", 1)
    monkeypatch.setattr("backend.qa.reports.BEHIND_S", 0.0)
    reports = Reports(store, tolerance=5.0)
    for number in range(1, 4):
        guess = prediction([point(30, 30)], id=number)
        event = created(annotation(number, [box(20, 20, 20, 20)], task=number, prediction=guess))
        store.append_event(event)
        assert reports.page(Filters())[0]["headline"]["n"] == number


def test_an_open_page_asks_about_its_own_filters(client, store):
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], completed_by=3)))
    page = client.get("/qa?project=1&annotator=3").get_data(as_text=True)
    [asked] = re.findall(r'hx-get="(/qa/revision[^"]*)"', page)
    assert "annotator=3" in asked
    assert client.get(html.unescape(asked)).status_code == 204


@pytest.mark.parametrize("place", ["9223372036854775808/0", "1/99999999999", "-1/0", "a/0"])
def test_pictures_that_cannot_be_are_not_found(client, place):
    for name in "frame.jpg", "heatmap.png":
        assert client.get(f"/qa/audit/{place}/{name}").status_code == 404
