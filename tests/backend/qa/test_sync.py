"""Reconciling with Label Studio: the lost comes back, the gone goes, nothing else moves."""

import copy
import threading
import time

import pytest

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudioError
from backend.qa import sync
from backend.qa.queries import summary
from backend.qa.store import Store
from backend.qa.sync import keep_in_sync, known_projects, sync_project
from tests.qa_events import CREATED, annotation, box, created, point, prediction

GUESS = prediction([point(30, 30), box(20, 20, 20, 20)], id=70)


class FakeLabelStudio:
    """The pages of /api/tasks/, as Label Studio 1.23 gives them."""

    has_token = True

    def __init__(self, *tasks):
        self.tasks = {task["id"]: task for task in tasks}
        self.calls = 0
        self.down = False
        self.after_first_page = lambda: None

    def project(self, project):
        return {"id": project, "title": "kitchen", "label_config": "<View/>", "updated_at": CREATED}

    def call(self, method, path, *, params):
        assert (method, path, params["fields"]) == ("GET", "/api/tasks/", "all")
        self.calls += 1
        if self.down:
            raise LabelStudioError("Label Studio cannot be reached.")
        first = (params["page"] - 1) * params["page_size"]
        tasks = list(self.tasks.values())
        found = copy.deepcopy(tasks[first : first + params["page_size"]])
        if params["page"] == 1:
            self.after_first_page()
            self.after_first_page = lambda: None
        return {"tasks": found, "total": len(tasks)}


def task(id, *annotations, predictions=()):
    return {
        "id": id,
        "project": 1,
        "data": {"narration": "cut the onion"},
        "created_at": CREATED,
        "updated_at": CREATED,
        "annotations": [{**a, "completed_by": {"id": a["completed_by"]}} for a in annotations],
        "predictions": list(predictions),
    }


@pytest.fixture
def store(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()


def made(id, dx=0, **extra):
    return annotation(id, [box(20 + dx, 20, 20, 20)], task=id, parent_prediction=70, **extra)


def test_lost_events_are_repaired_and_reported_once(store):
    for event in (created(made(1)), created(made(2, second=1)), created(made(3)), created(made(4))):
        store.append_event(event)
    api = FakeLabelStudio(
        task(1, made(1), predictions=[GUESS]),
        task(2, made(2, dx=40, second=9)),
        task(3),
        task(5, made(5)),
    )
    result = sync_project(store, api, 1)
    assert (result.tasks, result.annotations) == (4, 3)
    assert (result.missing, result.outdated, result.gone, result.gone_tasks) == (1, 1, 2, 1)
    assert result.predictions == 1
    assert result.repaired == 6
    assert summary(store, 1)["n"] == 1
    alive = [a["id"] for a in store.rows(schema.annotations) if not a["deleted_at"]]
    assert alive == [1, 2, 5]
    assert sync_project(store, api, 1).repaired == 0
    assert known_projects(store) == [1]


def test_what_is_made_while_the_pages_are_read_is_not_taken_for_gone(store, monkeypatch):
    monkeypatch.setattr(sync, "PAGE_SIZE", 2)
    api = FakeLabelStudio(*(task(i, made(i)) for i in range(1, 6)))
    late = made(77)

    def meanwhile():
        api.tasks[77] = task(77, late)
        store.append_event(created(late))
        store.process_pending()

    api.after_first_page = meanwhile
    result = sync_project(store, api, 1)
    assert result.gone == result.gone_tasks == 0
    assert sync_project(store, api, 1).repaired == 0
    assert len([a for a in store.rows(schema.annotations) if not a["deleted_at"]]) == 6


def test_a_failure_leaves_the_store_as_it_was(store):
    store.append_event(created(made(1)))
    api = FakeLabelStudio()
    api.down = True
    with pytest.raises(LabelStudioError):
        sync_project(store, api, 1)
    assert [a["deleted_at"] for a in store.rows(schema.annotations)] == [None]


def test_an_answer_of_another_form_is_refused(store):
    api = FakeLabelStudio()
    api.call = lambda *_, **__: []
    with pytest.raises(LabelStudioError, match="form"):
        sync_project(store, api, 1)


def test_an_event_without_payload_starts_a_sync_by_itself(store):
    api = FakeLabelStudio(task(1, made(1), predictions=[GUESS]))
    store.append_event({"action": "PROJECT_UPDATED", "project": api.project(1)})
    store.process_pending()

    class Connections:
        def key(self, project):
            return ProjectKey("", project)

        def get(self, key):
            return api if key.id == 1 else None

    stop = threading.Event()
    thread = keep_in_sync(store, Connections(), every_s=3600, stop=stop)
    assert api.calls == 0
    store.append_event({"action": "ANNOTATION_CREATED"})
    deadline = time.monotonic() + 10
    while summary(store, 1)["n"] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (summary(store, 1)["n"], summary(store, 1)["hits"]) == (1, 1)
    stop.set()
    store.sync_wanted.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
