"""Reconciling with Label Studio: the lost comes back, the gone goes, nothing else moves."""

import tracemalloc

import pytest

from backend.database import schema
from backend.label_studio.client import LabelStudioError, TaskPage
from backend.qa.queries import summary
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.sync import SyncStoppedError, known_projects, sync_project
from backend.qa.times import later, now
from tests.backend.qa.task_pages import GUESS, ONE, FakeLabelStudio, alive, made, many, task
from tests.qa_events import CREATED, annotation, created, point


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


def test_a_deletion_by_a_clock_that_was_wrong_does_not_outlast_a_listing(store, monkeypatch):
    api = FakeLabelStudio(*many(6))
    sync_project(store, api, ONE)
    monkeypatch.setattr("backend.qa.store.now", lambda: later(now(), 86400 * 365))
    store.append_event({"action": "TASKS_DELETED", "tasks": [{"id": 5}]})
    store.append_event({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}, {"id": 6}]})
    store.process_pending()
    monkeypatch.undo()
    assert alive(store) == [1, 2, 3, 4]
    assert sync_project(store, api, ONE).missing == 2
    assert summary(store, ONE)["n"] == 6
    assert sync_project(store, api, ONE).repaired == 0


def test_what_an_event_told_of_later_times_is_as_label_studio_lists_it(store):
    """Label Studio's clock was wrong and is right again, or the event was forged."""
    sync_project(store, FakeLabelStudio(*many(3)), ONE)
    event = created(made(1, dx=60, updated_at="2037-01-01T00:00:00Z"), "ANNOTATION_UPDATED")
    event["task"] |= {"updated_at": "2037-01-01T00:00:00Z", "data": {"narration": "stir it"}}
    event["project"] |= {"label_config": "<View>\n</View>", "updated_at": "2037-01-01T00:00:00Z"}
    store.append_event(event)
    store.process_pending()
    assert summary(store, ONE)["hits"] == 2
    api = FakeLabelStudio(*many(3))
    result = sync_project(store, api, ONE)
    assert (result.outdated, result.repaired) == (1, 1)
    assert summary(store, ONE)["hits"] == 3
    assert store.rows(schema.tasks)[0]["data"] == {"narration": "cut the onion"}
    assert store.rows(schema.projects)[0]["label_config"] == "<View/>"
    store.append_event(created(made(1, dx=60, second=9), "ANNOTATION_UPDATED"))
    store.process_pending()
    assert summary(store, ONE)["hits"] == 2  # what comes later counts again
    assert sync_project(store, FakeLabelStudio(*many(3)), ONE).outdated == 1


def test_an_event_that_comes_while_pages_are_read_is_not_overruled(store):
    sync_project(store, FakeLabelStudio(*many(6)), ONE)
    api = FakeLabelStudio(*many(6))
    api.page_size = 3

    def meanwhile():
        store.append_event(created(made(5, dx=60, second=9), "ANNOTATION_UPDATED"))
        store.process_pending()

    api.after_first_page = meanwhile
    assert sync_project(store, api, ONE).outdated == 1
    assert summary(store, ONE)["hits"] == 5


def test_a_project_is_compared_without_what_its_annotations_say_in_memory(store):
    """Of all tasks of a large project that would be gigabytes."""
    regions = [point(30, 30, id=f"p{k}") for k in range(300)]
    api = FakeLabelStudio(*(task(i, annotation(i, regions, task=i)) for i in range(1, 21)))
    sync_project(store, api, ONE)
    api.task_pages = lambda _: iter([TaskPage([task(i) for i in range(1, 21)], 20)])
    tracemalloc.start()
    try:
        with pytest.raises(SyncStoppedError):
            sync_project(store, api, ONE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # of 20 results of 300 regions each 5 MB


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
