"""Reconciling with Label Studio: the lost comes back, the gone goes, nothing else moves."""

import copy
import threading
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudioError, TaskPage
from backend.qa import sync
from backend.qa.events import Changes, project_row
from backend.qa.queries import summary
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.sync import SyncStoppedError, keep_in_sync, known_projects, sync_project
from tests.qa_events import CREATED, annotation, box, created, point, prediction

ONE = ProjectKey("", 1)
GUESS = prediction([point(30, 30), box(20, 20, 20, 20)], id=70)


class FakeLabelStudio:
    """The pages of /api/tasks/, as Label Studio 1.23 gives them."""

    has_token = True
    page_size = 100

    def __init__(self, *tasks):
        self.tasks = {task["id"]: task for task in tasks}
        self.calls = 0
        self.down = False
        self.after_first_page = lambda: None

    def project(self, project):
        return {"id": project, "title": "kitchen", "label_config": "<View/>", "updated_at": CREATED}

    def task_pages(self, project):
        self.calls += 1
        if self.down:
            raise LabelStudioError("Label Studio cannot be reached.")
        tasks = copy.deepcopy(list(self.tasks.values()))
        for first in range(0, max(1, len(tasks)), self.page_size):
            total = len(self.tasks)
            yield TaskPage(tasks[first : first + self.page_size], total)
            self.after_first_page()
            self.after_first_page = lambda: None
            tasks = copy.deepcopy(list(self.tasks.values()))


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
    regions = [point(30, 30), box(20 + dx, 20, 20, 20)]
    return annotation(id, regions, task=id, parent_prediction=70, **extra)


def test_lost_events_are_repaired_and_reported_once(store):
    for event in (created(made(1)), created(made(2, second=1)), created(made(3)), created(made(4))):
        store.append_event(event)
    api = FakeLabelStudio(
        task(1, made(1), predictions=[GUESS]),
        task(2, made(2, dx=40, second=9)),
        task(3),
        task(5, made(5)),
    )
    result = sync_project(store, api, ONE)
    assert (result.tasks, result.annotations) == (4, 3)
    assert (result.missing, result.outdated, result.gone, result.gone_tasks) == (1, 1, 2, 1)
    assert result.predictions == 1
    assert result.repaired == 6
    assert summary(store, ONE)["n"] == 1
    alive = [a["id"] for a in store.rows(schema.annotations) if not a["deleted_at"]]
    assert alive == [1, 2, 5]
    assert sync_project(store, api, ONE).repaired == 0
    assert known_projects(store) == [ONE]


def test_what_is_made_while_the_pages_are_read_is_not_taken_for_gone(store):
    api = FakeLabelStudio(*(task(i, made(i)) for i in range(1, 6)))
    late = made(77)

    api.page_size = 2

    def meanwhile():
        api.tasks[77] = task(77, late)
        store.append_event(created(late))
        store.process_pending()

    api.after_first_page = meanwhile
    result = sync_project(store, api, ONE)
    assert result.gone == result.gone_tasks == 0
    assert sync_project(store, api, ONE).repaired == 0
    assert len([a for a in store.rows(schema.annotations) if not a["deleted_at"]]) == 6


def test_a_failure_leaves_the_store_as_it_was(store):
    store.append_event(created(made(1)))
    api = FakeLabelStudio()
    api.down = True
    with pytest.raises(LabelStudioError):
        sync_project(store, api, ONE)
    assert [a["deleted_at"] for a in store.rows(schema.annotations)] == [None]


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


def many(count):
    return [task(i, made(i), predictions=[{**GUESS, "id": 700 + i}]) for i in range(1, count + 1)]


def alive(store):
    return [a["id"] for a in store.rows(schema.annotations) if not a["deleted_at"]]


def test_an_empty_answer_buries_nothing_and_says_so(store):
    full = FakeLabelStudio(*many(30))
    sync_project(store, full, ONE)
    for what in (FakeLabelStudio(), FakeLabelStudio(*(task(i) for i in range(1, 31)))):
        with pytest.raises(SyncStoppedError, match=r"30 of 30.*--force"):
            sync_project(store, what, ONE)
        assert len(alive(store)) == 30
    [project] = build_report(store, Filters())["sync_errors"]
    assert "30 of 30" in project["error"]
    assert sync_project(store, FakeLabelStudio(), ONE, force=True).gone == 30
    assert build_report(store, Filters())["sync_errors"] == []


def test_what_was_taken_for_deleted_comes_back_and_is_counted_only_then(store):
    api = FakeLabelStudio(*many(30))
    sync_project(store, api, ONE)
    ids = [{"id": i} for i in range(1, 31)]
    store.append_event({"action": "ANNOTATIONS_DELETED", "annotations": ids})  # forged
    store.append_event({"action": "TASKS_DELETED", "tasks": ids[:3]})
    store.process_pending()
    assert (alive(store), summary(store, ONE)["n"]) == ([], 0)
    assert sync_project(store, api, ONE).missing == 30
    assert summary(store, ONE)["n"] == 30
    assert sync_project(store, api, ONE).repaired == 0


def test_annotations_of_deleted_tasks_need_no_asking(store):
    api = FakeLabelStudio(*many(30))
    sync_project(store, api, ONE)
    ids = [{"id": i} for i in range(1, 21)]
    store.append_event({"action": "TASKS_DELETED", "tasks": ids})
    for i in range(1, 21):
        del api.tasks[i]
    assert sync_project(store, api, ONE).gone == 20
    assert len(alive(store)) == 10


def test_a_deletion_told_while_the_pages_are_read_stays(store):
    api = FakeLabelStudio(*many(6))
    sync_project(store, api, ONE)
    api.page_size = 3

    def meanwhile():
        del api.tasks[5]
        store.append_event({"action": "TASKS_DELETED", "tasks": [{"id": 5}]})
        store.append_event({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}]})
        store.process_pending()
        api.tasks[5] = task(5, made(5))  # an answer that was under way

    api.after_first_page = meanwhile
    sync_project(store, api, ONE)
    assert 5 not in alive(store)


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


@pytest.mark.parametrize("id", [None, "7", 1.5, True, 2**31, [7]])
@pytest.mark.parametrize("of", ["task", "annotation"])
def test_a_listing_with_ids_that_are_none_is_told_and_changes_nothing(store, id, of):
    sync_project(store, FakeLabelStudio(*many(3)), ONE)
    listed = many(3)
    (listed[1] if of == "task" else listed[1]["annotations"][0])["id"] = id
    api = FakeLabelStudio()
    api.task_pages = lambda project: iter([TaskPage(listed, 3)])
    with pytest.raises(LabelStudioError, match="in a form that is not known"):
        sync_project(store, api, ONE)
    assert alive(store) == [1, 2, 3]


@pytest.mark.parametrize("made_at", [CREATED, "2199-01-01T00:00:00Z"])
def test_a_deletion_counts_whatever_label_studio_s_clock_says(store, made_at):
    store.append_event(created({**made(1), "created_at": made_at, "updated_at": made_at}))
    store.append_event({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}]})
    store.process_pending()
    assert alive(store) == []
    store.append_event(created({**made(1), "created_at": made_at, "updated_at": made_at}))
    store.process_pending()
    assert alive(store) == []


def test_the_wish_to_sync_is_told_after_its_commit(store, monkeypatch):
    wanted = []
    real = store.write

    @contextmanager
    def write():
        with real() as connection:
            yield connection
            wanted.append(store.sync_wanted.is_set())

    monkeypatch.setattr(store, "write", write)
    store.append_event({"action": "ANNOTATION_CREATED"})
    store.process_pending()
    assert store.sync_wanted.is_set()
    assert not any(wanted)


@pytest.mark.parametrize(
    "change",
    [
        {"data": None}, {"data": [1]}, {"annotations": 3}, {"annotations": [7]},
        {"annotations": [{"id": "x", "result": []}]}, {"annotations": [{"id": 5}]},
    ],
)  # fmt: skip
def test_a_list_of_another_form_buries_nothing(store, change):
    fake = FakeLabelStudio(task(1, annotation(5, [point(1, 1)])))
    sync_project(store, fake, ONE)
    before = store.rows(schema.annotations)
    fake.tasks[1] |= change
    with pytest.raises(LabelStudioError, match="form"):
        sync_project(store, fake, ONE)
    assert store.rows(schema.annotations) == before


@pytest.mark.parametrize("answer", [{}, {"id": 1}, {"id": 1, "label_config": None}])
def test_a_project_of_another_form_changes_nothing(store, answer):
    fake = FakeLabelStudio(task(1, annotation(5, [point(1, 1)])))
    sync_project(store, fake, ONE)
    before = store.rows(schema.projects)
    fake.project = lambda project: answer
    with pytest.raises(LabelStudioError, match="project 1 in a form that is not known"):
        sync_project(store, fake, ONE)
    changed = {"sync_error", "synced_at", "sync_begun"}
    [[was], [now]] = [
        [{k: v for k, v in row.items() if k not in changed} for row in rows]
        for rows in (before, store.rows(schema.projects))
    ]
    assert now == was


def test_texts_no_database_takes_are_taken(store):
    odd = annotation(5, [point(1, 1, label="a\ud800\0")])
    fake = FakeLabelStudio({**task(1, odd), "data": {"narration": "cut \udfff\0"}})
    assert sync_project(store, fake, ONE).annotations == 1


def test_a_project_keeps_the_number_it_was_asked_by(store):
    fake = FakeLabelStudio(task(1))
    fake.project = lambda project: {"id": None, "title": ["x\ud800"], "label_config": "\udfff\0"}
    sync_project(store, fake, ONE)
    assert [row["id"] for row in store.rows(schema.projects)] == [1]
