"""Events become state: each of them once, whoever takes it in and whatever dies meanwhile."""

import functools
import os
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
from backend.database.engine import others_wait
from backend.database.keys import ProjectKey
from backend.qa import intake
from backend.qa.queries import summary
from backend.qa.store import Store
from tests.qa_events import (
    annotation,
    box,
    created,
    point,
    prediction,
)


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


def test_a_webhook_that_waits_goes_before_the_next_event(tmp_path, monkeypatch):
    """However long a batch may take: whoever labels waits for the answer."""
    monkeypatch.setattr(intake, "BATCH_S", 60.0)
    monkeypatch.setattr(intake.Intake, "_work", lambda self: None)
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    store.process_pending()  # events that wait at a start are taken in one at a time
    events = [created(annotation(number, [box(20, 20, 20, 20)])) for number in range(8)]
    for event in events[:7]:
        store.append_event(event)
    merge, order = intake._merge, []
    late = threading.Thread(target=lambda: (store.append_event(events[7]), order.append("kept")))

    def merge_and_be_waited_for(*given):
        merge(*given)
        order.append("merged")
        if len(order) == 3:
            late.start()
            while not others_wait(store.engine):
                time.sleep(0.001)

    monkeypatch.setattr(intake, "_merge", merge_and_be_waited_for)
    store.process_pending()
    late.join()
    assert order.index("kept") <= 4
    assert store.inbox_counts() == {"events": 8, "waiting": 0, "failed": 0}
    store.close()


def test_the_wish_to_sync_is_told_after_its_commit(store, monkeypatch):
    write, wanted = intake.writing, []

    @contextmanager
    def write_and_look(engine):
        with write(engine) as connection:
            yield connection
            wanted.append(store.sync_wanted.is_set())

    monkeypatch.setattr(intake, "writing", write_and_look)
    store.append_event({"action": "ANNOTATION_CREATED"})
    store.process_pending()
    assert store.sync_wanted.is_set()
    assert wanted and not any(wanted)
