"""The inbox loses nothing, and the state does not depend on the order of what arrives."""

import functools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa import intake
from backend.qa.queries import num_predictions, summary
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.qa_events import (
    all_recorded,
    annotation,
    box,
    created,
    deleted,
    point,
    prediction,
    recorded,
)
from videogem.errors import InputError


@pytest.fixture
def store(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()


def state_of(store):
    store.process_pending()
    tables = (schema.projects, schema.tasks, schema.annotations, schema.predictions, schema.scores)
    # The moment a deletion was received is not part of the state, that it was is.
    return {
        table.name: [
            {k: bool(v) if k == "deleted_at" else v for k, v in row.items()}
            for row in store.rows(table)
        ]
        for table in tables
    }


def replay(path, events):
    store = Store(f"sqlite:///{path}")
    for event in events:
        store.append_event(event)
    state = state_of(store)
    store.close()
    return state


def test_recordings_in_any_order_and_repeated_reach_the_same_state(tmp_path):
    events = all_recorded()
    assert len(events) >= 13
    expected = replay(tmp_path / "ordered.db", events)
    alive = [row["id"] for row in expected["annotations"] if not row["deleted_at"]]
    assert alive == [2, 3, 18, 19, 20]
    for seed in range(8):
        shuffled = events * 3
        random.Random(seed).shuffle(shuffled)
        assert replay(tmp_path / f"{seed}.db", shuffled) == expected


def test_made_events_in_any_order_reach_the_same_state(tmp_path):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=7)
    first = annotation(1, [point(30, 30), box(20, 20, 20, 20)], prediction=guess, second=1)
    second = annotation(1, [point(60, 60), box(50, 50, 20, 20)], second=2)
    events = [
        created(first),
        created(second, "ANNOTATION_UPDATED"),
        created(annotation(2, [box(20, 20, 20, 20)], ground_truth=True, second=3)),
        created(annotation(3, [point(1, 1)], second=4)),
        deleted(3),
        {"action": "ANNOTATIONS_CREATED", "annotation": [annotation(4, [], task=2)]},
        {"action": "TASKS_DELETED", "tasks": [{"id": 2}]},
    ]
    expected = replay(tmp_path / "ordered.db", events)
    for seed in range(8):
        shuffled = events * 2
        random.Random(seed).shuffle(shuffled)
        assert replay(tmp_path / f"{seed}.db", shuffled) == expected


def test_summary_follows_creation_update_and_deletion(store):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=7)
    kept = annotation(1, guess["result"], prediction=guess, parent_prediction=7)
    moved = [point(60, 60), box(50, 50, 20, 20)]

    def figures():
        store.process_pending()
        found = summary(store, ProjectKey("", 1))
        return found["n"], found["hits"]

    store.append_event(created(kept))
    assert figures() == (1, 1)
    # An update that carries the very time of the creation still replaces it.
    store.append_event(created({**kept, "result": moved}, "ANNOTATION_UPDATED"))
    assert figures() == (1, 0)
    store.append_event(created(kept))
    assert figures() == (1, 0)
    store.append_event(created(annotation(2, [], was_cancelled=True, prediction=guess)))
    assert figures() == (1, 0)
    store.append_event(deleted(1))
    assert figures() == (0, 0)
    assert summary(store, ProjectKey("", 1))["accuracy"] is None


def test_ground_truth_wins_over_the_task_s_other_annotations(store):
    guess = prediction([point(30, 30)], id=7)
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], prediction=guess)))
    store.append_event(created(annotation(2, [box(80, 80, 10, 10)], ground_truth=True)))
    store.process_pending()
    assert summary(store, ProjectKey("", 1))["n"] == 1
    assert summary(store, ProjectKey("", 1))["hits"] == 0


def test_an_annotation_that_moves_to_another_task_is_scored_there_alone(store):
    for task in (1, 2):
        store.record_all(ProjectKey("", 1), [(task, prediction([point(30, 30)]))])
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], task=2, second=1)))
    store.process_pending()
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], task=1, second=2)))
    store.process_pending()
    assert {row["task_id"] for row in store.rows(schema.scores)} == {1}
    assert summary(store, ProjectKey("", 1))["n"] == 1


def test_many_predictions_are_kept_with_few_statements(store):
    statements = []
    sa.event.listen(
        store.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    version = {"model_version": "m1", "result": [], "score": 0.5}
    pairs = [(task, version) for task in range(1, 1201)]
    store.record_all(ProjectKey("", 1), pairs)
    assert len(store.rows(schema.predictions)) == 1200
    assert len(statements) < 40
    store.record_all(ProjectKey("", 1), [*pairs, (1201, version), (1201, version)])
    assert len(store.rows(schema.predictions)) == 1201


def test_predictions_recorded_at_predict_time_are_used_and_kept_once(store):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)])
    for _ in range(3):
        store.record_all(ProjectKey("", 1), [(1, guess)])
    store.append_event(created(annotation(1, [point(31, 31), box(20, 20, 20, 20)])))
    store.process_pending()
    assert len(store.rows(schema.predictions)) == 1
    assert summary(store, ProjectKey("", 1))["hits"] == 1
    # Late predictions count too: the webhook may overtake them.
    store.append_event(created(annotation(9, [box(0, 0, 5, 5)], task=5)))
    store.process_pending()
    store.record_all(ProjectKey("", 1), [(5, prediction([point(50, 50)]))])
    assert summary(store, ProjectKey("", 1))["n"] == 2


def test_an_event_without_payload_or_sense_harms_nothing(store):
    for event in (
        {"action": "ANNOTATION_CREATED"},
        {},
        [],
        "text",
        None,
        {"action": 5, "annotation": 3, "task": [None], "project": "x"},
        {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "result": None}},
        {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "result": [None, {"value": 1}]}},
        {"action": "ANNOTATIONS_DELETED", "annotations": [{}, 7, {"id": "x"}]},
    ):
        store.append_event(event)
    store.append_event(created(annotation(5, [box(0, 0, 1, 1)])))
    store.process_pending()
    counts = store.inbox_counts()
    assert (counts["events"], counts["waiting"], counts["failed"]) == (10, 0, 0)
    assert {row["id"] for row in store.rows(schema.annotations)} == {1, 5}


def test_an_event_that_cannot_be_applied_is_kept_and_named(store, monkeypatch):
    monkeypatch.setattr("backend.qa.intake.read_event", lambda *_: 1 / 0)
    store.append_event({"action": "X"})
    store.process_pending()
    assert store.inbox_counts() == {"events": 1, "waiting": 0, "failed": 1}


def test_secrets_of_the_project_are_not_stored(store):
    event = recorded("webhook_annotation_created_image")[0]
    event["project"] |= {"token": "s3cret-token", "task_data_password": "s3cret-word"}
    store.append_event(event)
    assert "s3cret" not in json.dumps(store.rows(schema.inbox))


def test_the_worker_applies_events_by_itself(store):
    guess = prediction([point(30, 30)], id=7)
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)], prediction=guess)))
    deadline = time.monotonic() + 5
    while summary(store, ProjectKey("", 1))["n"] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert summary(store, ProjectKey("", 1))["n"] == 1


def cost_of(store, work):
    """What some work asks of the database: its statements by kind, and SQLite's own steps."""
    seen, steps = [], []

    def note(connection, cursor, statement, parameters, context, executemany):
        seen.append(statement.split()[0].upper())

    def commit(connection):
        seen.append("COMMIT")

    def count(connection, record, proxy):
        connection.set_progress_handler(lambda: steps.append(1), 10)

    listeners = [("before_cursor_execute", note), ("commit", commit), ("checkout", count)]
    for name, listener in listeners:
        sa.event.listen(store.engine, name, listener)
    try:
        work()
    finally:
        for name, listener in listeners:
            sa.event.remove(store.engine, name, listener)
    return [name for name in seen if name != "PRAGMA"], 10 * len(steps)


def test_what_an_event_costs_does_not_grow_with_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr(intake.Intake, "_work", lambda self: None)  # only what is asked for
    store = Store(f"sqlite:///{tmp_path}/qa.db")

    def event(id):
        guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=id)
        return created(annotation(id, [box(20, 20, 20, 20)], task=id, prediction=guess))

    costs = []
    for first, last in ((1, 30), (31, 300)):
        for id in range(first, last):
            store.append_event(event(id))
        store.process_pending()
        acknowledged = cost_of(store, functools.partial(store.append_event, event(last)))
        costs.append((acknowledged, cost_of(store, store.process_pending)))
    assert summary(store, ProjectKey("", 1))["n"] == 300
    store.close()
    (few_append, few_work), (many_append, many_work) = costs
    # An event is acknowledged after one insert and one commit.
    assert few_append[0] == ["BEGIN", "INSERT", "COMMIT"]
    assert few_work[0].count("COMMIT") <= 4  # looking, working, looking again
    assert len(few_work[0]) < 60
    assert (many_append[0], many_work[0]) == (few_append[0], few_work[0])
    assert many_append[1] <= few_append[1] + 200
    assert many_work[1] <= few_work[1] + 200, (few_work[1], many_work[1])


def test_nothing_is_loaded_while_others_wait_for_the_database(tmp_path):
    script = """
import sys
from backend.qa import intake
from backend.qa.store import Store
from tests.qa_events import annotation, box, created
rescore = intake.rescore
def watched(*given):
    before = "spacy" in sys.modules
    rescore(*given)
    assert before, "loaded inside the transaction"
intake.rescore = watched
store = Store(sys.argv[1])
event = created(annotation(1, [box(1, 1, 2, 2)]))
event["task"]["data"] = {"narration": "cut the onion"}
store.append_event(event)
store.process_pending()
assert store.inbox_counts() == {"events": 1, "waiting": 0, "failed": 0}, store.inbox_counts()
assert "spacy" in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{tmp_path}/qa.db"],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "PYTHONPATH": "."},
        check=True,
    )


def test_many_threads_append_at_once(store):
    def append(first):
        for i in range(25):
            store.append_event(created(annotation(first + i, [], task=first + i)))

    threads = [threading.Thread(target=append, args=(100 * k,)) for k in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.process_pending()
    assert len(store.rows(schema.annotations)) == 200


APPENDER = """
import sys
from backend.qa.store import Store
from tests.qa_events import annotation, box, created
store = Store(sys.argv[1])
for i in range(1, 100000):
    store.append_event(created(annotation(i, [box(1, 1, 2, 2)], task=i)))
    sys.stdout.write(f"{i}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("acknowledged", [1, 40, 90])
def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path, acknowledged):
    url = f"sqlite:///{tmp_path}/qa.db"
    process = subprocess.Popen(
        [sys.executable, "-c", APPENDER, url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "PYTHONPATH": "."},
    )
    with process:
        for line in process.stdout:
            if int(line) >= acknowledged:
                process.send_signal(signal.SIGKILL)
                break
        rest = [int(line) for line in process.stdout if line.endswith("\n")]
    last = max([acknowledged, *rest])
    store = Store(url)
    store.process_pending()
    ids = [row["id"] for row in store.rows(schema.annotations)]
    store.close()
    assert ids[:last] == list(range(1, last + 1))
    assert len(ids) <= last + 1  # the one that was committed but not yet acknowledged


def test_two_stores_on_one_file_share_the_work(tmp_path):
    url = f"sqlite:///{tmp_path}/qa.db"
    stores = [Store(url), Store(url)]
    for i in range(40):
        stores[i % 2].append_event(created(annotation(i + 1, [], task=i + 1)))
    for store in stores:
        store.process_pending()
    assert len(stores[0].rows(schema.annotations)) == 40
    for store in stores:
        store.close()


def test_migrations_make_the_tables_of_the_schema(store):
    with store.read() as connection:
        inspector = sa.inspect(connection)
        for table in schema.metadata.sorted_tables:
            columns = {c["name"] for c in inspector.get_columns(table.name)}
            assert columns == set(table.columns.keys()), table.name
            indexes = {i["name"] for i in inspector.get_indexes(table.name)}
            assert indexes == {i.name for i in table.indexes}, table.name


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_wrong_database_url_says_what_is_expected(url):
    with pytest.raises(InputError, match=r"sqlite:///qa\.db"):
        Store(url)


def test_a_version_that_is_used_again_is_shown_again(store):
    """v1, v2 and v1 once more: an annotation drawn independently counts for what is in use."""
    one = prediction([point(30, 30)], version="v1")
    two = prediction([point(80, 80)], version="v2")
    store.append_event(created(annotation(1, [box(20, 20, 20, 20)])))
    store.process_pending()
    shown, revisions = [], set()
    for guess in (one, two, one):
        store.record_all(ProjectKey("", 1), [(1, guess)])
        shown.append(summary(store)["hits"])
        revisions.add(store.revision())
    assert shown == [1, 0, 1]
    assert len(revisions) == 3  # or the page would go on showing the other
    found = build_report(store, Filters())
    assert found["headline"]["n"] == 1
    rows = {row["name"]: (row["hits"], row["n"]) for row in found["breakdowns"]["model_version"]}
    assert rows == {"v1": (1, 1), "v2": (0, 1)}
    assert build_report(store, Filters(model_version="v2"))["headline"]["hits"] == 0
    assert num_predictions(store) == 2


def test_a_prediction_that_came_back_with_an_id_is_one(store):
    guess = prediction([point(30, 30)], id=5)
    store.record_all(ProjectKey("", 1), [(1, {k: v for k, v in guess.items() if k != "id"})])
    assert num_predictions(store) == 1
    store.append_event(created(annotation(1, [point(30, 30)], prediction=guess)))
    store.process_pending()
    assert len(store.rows(schema.predictions)) == 2
    assert num_predictions(store) == 1


def test_readers_do_not_wait_for_what_comes_after_them(store, monkeypatch):
    """Events that come without end, as of many annotators: each batch brings the next event."""
    write, came = intake.writing, []

    @contextmanager
    def write_and_get_more(engine):
        with write(engine) as connection:
            yield connection
        if len(came) < 100:
            came.append(1)
            store.append_event(created(annotation(1 + len(came), [box(20, 20, 20, 20)])))

    store.append_event(created(annotation(1, [box(20, 20, 20, 20)])))
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(intake, "writing", write_and_get_more)
        store.catch_up()
    assert len(came) < 50
    assert len(store.ledger.look().rows)
