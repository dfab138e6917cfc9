"""Who compares the store with Label Studio, and when: one of all, at start and when asked."""

import threading
import time

import pytest
import sqlalchemy as sa

from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudioError
from backend.qa import sync
from backend.qa.events import Changes, project_row
from backend.qa.queries import summary
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.sync import keep_in_sync, known_projects, sync_project
from tests.backend.qa.task_pages import GUESS, ONE, FakeLabelStudio, alive, made, many, task
from tests.qa_events import CREATED, created


def wait_for(come, seconds=20):
    deadline = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_event_without_payload_starts_a_sync_by_itself(store, monkeypatch):
    api = FakeLabelStudio()
    store.append_event({"action": "PROJECT_UPDATED", "project": api.project(1)})
    store.process_pending()

    class Connections:
        def get(self, key):
            return api if key.id == 1 else None

    monkeypatch.setattr(sync, "START_S", 0.0)
    monkeypatch.setattr(sync, "SHORTEST_GAP_S", 0.0)
    stop = threading.Event()
    thread = keep_in_sync(store, Connections(), every_s=0, stop=stop)
    wait_for(lambda: api.calls == 1)  # at start, though there is no timer
    api.tasks[1] = task(1, made(1), predictions=[GUESS])
    time.sleep(0.2)
    assert summary(store, ONE)["n"] == 0
    store.append_event({"action": "ANNOTATION_CREATED"})
    wait_for(lambda: summary(store, ONE)["n"] == 1)
    assert (summary(store, ONE)["n"], summary(store, ONE)["hits"]) == (1, 1)
    stop.set()
    store.sync_wanted.set()
    thread.join(timeout=5)
    assert not thread.is_alive()


@pytest.mark.parametrize("missing", ["Label Studio", "database"])
def test_a_sync_at_start_that_met_nobody_is_made_again(store, monkeypatch, missing):
    """Without a timer nothing else would ever look for what was missed."""
    api = FakeLabelStudio(*many(3))
    store.merge("", Changes(projects=[{**project_row(api.project(1), CREATED), "id": 1}]))
    api.down = missing == "Label Studio"
    rounds, gone = [], missing == "database"

    class Connections:
        def get(self, key):
            rounds.append(key)
            if gone and len(rounds) < 3:
                raise sa.exc.OperationalError("SELECT 1", {}, Exception("gone"))
            return api

    monkeypatch.setattr(sync, "START_S", 0.0)
    monkeypatch.setattr(sync, "SHORTEST_GAP_S", 0.05)
    stop = threading.Event()
    thread = keep_in_sync(store, Connections(), every_s=0, stop=stop)
    wait_for(lambda: len(rounds) > 2)
    api.down = False
    wait_for(lambda: summary(store, ONE)["n"] == 3)
    calls = len(rounds)
    time.sleep(0.3)
    assert len(rounds) <= calls + 1  # once it went well, nothing more is asked
    stop.set()
    store.sync_wanted.set()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_sync_that_a_wrong_clock_noted_does_not_stand_for_later_ones(store, monkeypatch):
    api = FakeLabelStudio(*many(3))
    store.merge("", Changes(projects=[{**project_row(api.project(1), CREATED), "id": 1}]))
    store.note_sync(ONE, None, time.time() + 365 * 86400)

    class Connections:
        def get(self, project):
            return api

    monkeypatch.setattr(sync, "START_S", 0.0)
    stop = threading.Event()
    thread = keep_in_sync(store, Connections(), every_s=0, stop=stop)
    wait_for(lambda: summary(store, ONE)["n"] == 3)
    stop.set()
    store.sync_wanted.set()
    thread.join(timeout=10)


def test_of_several_backends_on_one_store_one_syncs(store, monkeypatch):
    """At the start, and when an event asks for it, the others leave it to whoever is first."""
    api = FakeLabelStudio(*many(3))

    class Connections:
        def get(self, project):
            return api

    other = Store(store.url)
    stores = store, other, Store(store.url)
    store.merge("", Changes(projects=[{**project_row(api.project(1), CREATED), "id": 1}]))
    monkeypatch.setattr(sync, "START_S", 0.3)  # all of them have begun by then
    monkeypatch.setattr(sync, "SHORTEST_GAP_S", 0.0)
    busy, most = [], []
    plain = FakeLabelStudio.task_pages

    def pages(project):
        busy.append(project)
        most.append(len(busy))
        time.sleep(0.2)
        yield from plain(api, project)
        busy.pop()

    monkeypatch.setattr(api, "task_pages", pages)
    stop = threading.Event()
    threads = [keep_in_sync(one, Connections(), every_s=0, stop=stop) for one in stores]
    wait_for(lambda: summary(store, ONE)["n"] == 3)
    time.sleep(2.5)  # the others have looked, too
    assert (api.calls, max(most)) == (1, 1)
    api.tasks[4] = task(4, made(4), predictions=[{**GUESS, "id": 704}])
    other.append_event({"action": "ANNOTATION_CREATED"})
    wait_for(lambda: summary(store, ONE)["n"] == 4)
    stop.set()
    for one in stores:
        one.sync_wanted.set()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()
    for one in stores[1:]:
        one.close()


def test_a_project_that_was_deleted_leaves_the_figures_and_others_are_synced(
    store, caplog, monkeypatch
):
    sync_project(store, FakeLabelStudio(*many(2)), ONE)
    two = ProjectKey("", 2)
    good = FakeLabelStudio({**task(9, {**made(9), "project": 2}), "project": 2})
    store.merge("", Changes(projects=[project_row(good.project(2), CREATED)]))

    class Gone(FakeLabelStudio):
        def project(self, project):
            path = f"/api/projects/{project}/"
            raise LabelStudioError("404: no such project", 404, path)

    class Connections:
        def get(self, key):
            return Gone() if key.id == 1 else good

    monkeypatch.setattr(sync, "START_S", 0.0)
    stop = threading.Event()
    thread = keep_in_sync(store, Connections(), every_s=3600, stop=stop)
    wait_for(lambda: good.calls)
    stop.set()
    thread.join(timeout=10)
    report = build_report(store, Filters())
    assert [p["id"] for p in report["projects"]] == [two.id]
    assert summary(store, ONE)["n"] == 0
    assert "404: no such project" in caplog.text
    assert known_projects(store) == [ONE, two]
    assert len(alive(store)) == 3
    sync_project(store, FakeLabelStudio(*many(2)), ONE)  # it was a mistake: nothing is lost
    assert summary(store, ONE)["n"] == 2


def test_projects_that_label_studio_never_had_are_not_asked_for_without_end(store, monkeypatch):
    """Anybody who may send events can name projects."""
    monkeypatch.setattr(sync, "MOST_STRANGERS", 3)
    api = FakeLabelStudio(*many(2))

    def project(number):
        if number != 1:
            path = f"/api/projects/{number}/"
            raise LabelStudioError("404: no such project", 404, path)
        return FakeLabelStudio.project(api, number)

    api.project = project
    for number in range(2, 12):
        named = {**api.project(1), "id": number}
        store.append_event({"action": "PROJECT_UPDATED", "project": named})
    sync_project(store, api, ONE)
    assert len(known_projects(store)) == 11
    for key in known_projects(store)[1:]:
        with pytest.raises(LabelStudioError):
            sync_project(store, api, key)
    assert known_projects(store) == [ONE, *(ProjectKey("", number) for number in (2, 3, 4))]
    store.append_event({"action": "PROJECT_UPDATED", "project": {**api.project(1), "id": 9}})
    store.process_pending()
    assert ProjectKey("", 9) in known_projects(store)  # it was told of again


def test_an_event_is_of_one_project_whatever_is_in_it(store):
    tasks = [{"id": number, "project": number, "data": {}} for number in range(1, 50)]
    store.append_event({"action": "TASKS_CREATED", "project": {"id": 1}, "tasks": tasks})
    event = created(made(60))
    event["annotation"] |= {"project": 7, "prediction": {**GUESS, "project": 8}}
    store.append_event(event)
    store.process_pending()
    assert known_projects(store) == [ONE]
