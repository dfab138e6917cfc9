"""An event of many megabytes holds nobody up, and is taken as a whole or not at all."""

import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import open_engine, patience
from backend.database.json_text import LONG, GentleDecoder, json_value
from backend.qa import intake, rescoring, state
from backend.qa.events import Changes, clean, prediction_row
from backend.qa.intake import BATCH_CHARS
from backend.qa.store import Store
from backend.web.routes import EVENT_WAIT
from tests.backend.prediction.test_batch import wait_for
from tests.backend.qa.test_intake import cost_of
from tests.qa_events import annotation, box, created

ROOT = Path(__file__).resolve().parents[3]
COUNT = 1 + BATCH_CHARS // 140  # tasks of a large event


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/qa.db", tmp_path / "spool")
    yield store
    store.close()


def large(number: int, chars: int) -> dict[str, Any]:
    """An event with an annotation of about so many characters."""
    region = box(20, 20, 20, 20)
    regions = [{**region, "id": f"r{i}"} for i in range(chars // len(json.dumps(region)))]
    return created(annotation(number, regions, task=number))


def test_webhooks_are_stored_while_a_large_one_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()
    read_event = intake.read_event

    def slow(payload: Any, received_at: str) -> Any:
        reading.set()
        go_on.wait(60)
        return read_event(payload, received_at)

    monkeypatch.setattr(intake, "read_event", slow)
    store.append_event(large(1, 2 * BATCH_CHARS))
    assert reading.wait(60)
    assert all(store.append_event(created(annotation(number, []))) for number in (2, 3))
    assert store.spool is not None
    assert not store.spool.holds()
    go_on.set()
    wait_for(lambda: store.inbox_counts()["waiting"] == 0)
    assert [row["id"] for row in store.rows(schema.annotations)] == [1, 2, 3]


def test_no_two_large_ones_are_in_memory_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.intake, "_careful", 0)
    fetched: list[int] = []
    real = intake.json_value
    monkeypatch.setattr(intake, "json_value", lambda text: fetched.append(len(text)) or real(text))
    together: list[int] = []
    write = intake.writing

    def counted(engine: sa.Engine) -> Any:
        together.append(sum(size > BATCH_CHARS for size in fetched))
        fetched.clear()
        return write(engine)

    monkeypatch.setattr(intake, "writing", counted)
    with store.intake._process_lock:  # the worker waits
        for number in range(1, 5):
            store.append_event(large(number, 2 * BATCH_CHARS))
        for number in range(5, 9):
            store.append_event(created(annotation(number, [])))
    store.process_pending()
    wait_for(lambda: store.inbox_counts()["waiting"] == 0)
    assert sum(together) == 4
    assert max(together) == 1
    assert len(store.rows(schema.annotations)) == 8


def many_tasks(count: int) -> dict[str, Any]:
    """An import of so many tasks, as one event."""
    data = {"image": "/data/upload/1/a.png", "narration": "cut the onion " * 10}
    tasks = [{"id": number, "project": 1, "data": data} for number in range(1, count + 1)]
    return {"action": "TASKS_CREATED", "project": {"id": 1}, "tasks": tasks}


def test_webhooks_that_come_while_a_large_one_is_merged_are_kept_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one transaction, so the spool takes them; rows are merged some at a time."""
    sizes: list[int] = []
    merging, go_on = threading.Event(), threading.Event()
    merge = state.merge

    def counted(connection: sa.Connection, server: str, changes: Changes, *at: str) -> Any:
        sizes.append(sum(map(len, vars(changes).values())))
        if len(sizes) == 2:
            merging.set()
            go_on.wait(60)
        return merge(connection, server, changes, *at)

    monkeypatch.setattr(state, "merge", counted)
    store.append_event(many_tasks(COUNT))
    assert merging.wait(60)
    took = []
    for number in range(1, 4):
        begun = time.monotonic()
        with patience(EVENT_WAIT):
            store.append_event(created(annotation(number, [], task=number)))
        took.append(time.monotonic() - begun)
    assert max(took) < 1.0  # Label Studio waits no longer
    assert sum(took[1:]) < 0.2  # only the first of them waits
    assert store.rows(schema.tasks) == []
    go_on.set()
    wait_for(lambda: len(store.rows(schema.annotations)) == 3, seconds=60)
    assert max(sizes) <= intake.PART
    assert len(store.rows(schema.tasks)) == COUNT
    assert store.inbox_counts() == {"events": 4, "waiting": 0, "failed": 0}


@pytest.mark.parametrize("of", ["predictions", "annotations"])
def test_much_of_one_task_costs_about_as_much_as_there_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """A thousand predictions of one task took ten seconds, two thousand more than a hundred."""
    monkeypatch.setattr(intake, "PART", 30)
    monkeypatch.setattr(intake, "BATCH_CHARS", 5000)
    scored: list[int] = []
    score_task = rescoring.score_task

    def counted(*given: Any) -> Any:
        scored.append(1)
        return score_task(*given)

    monkeypatch.setattr(rescoring, "score_task", counted)
    made = [{"id": k, "task": 1, "result": [{"id": str(k)}]} for k in range(1, 301)]
    if of == "predictions":
        made = [{**one, "id": None, "model_version": "m"} for one in made]
    task = {"id": 1, "project": 1, "data": {}, of: made}
    event = {"action": "TASKS_CREATED", "project": {"id": 1}, "tasks": [task]}
    store.intake.close()
    store.append_event(event)
    steps = cost_of(store, store.process_pending)[1]
    assert len(store.rows(getattr(schema, of))) == 300
    assert steps < 400_000  # 4,000,000 where each part looks at all pairs
    assert len(scored) == (of == "annotations")


def test_a_large_one_whose_later_part_cannot_be_merged_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[int] = []
    merge = state.merge

    def fails(*args: Any) -> Any:
        parts.append(1)
        if len(parts) == 3:
            raise ValueError("no such number")
        return merge(*args)

    monkeypatch.setattr(state, "merge", fails)
    store.append_event(many_tasks(COUNT))
    wait_for(lambda: store.inbox_counts()["waiting"] == 0, seconds=60)
    [event] = store.rows(schema.inbox)
    assert event["error"] == "ValueError: no such number"
    assert store.rows(schema.tasks) == []


ENDS = """
import os, sys, time
from backend.qa import state
from backend.qa.store import Store
from tests.backend.qa.test_large_events import COUNT, many_tasks

merge, parts = state.merge, []

def ends(*args):
    parts.append(1)
    if len(parts) == 3:
        os.kill(os.getpid(), 9)
    return merge(*args)

state.merge = ends
Store(sys.argv[1]).append_event(many_tasks(COUNT))
time.sleep(60)
"""


def test_a_large_one_in_which_the_process_is_killed_leaves_nothing_until_the_next(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/qa.db"
    killed = subprocess.run([sys.executable, "-c", ENDS, url], check=False, cwd=ROOT, timeout=120)
    assert killed.returncode == -9
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.execute(sa.select(schema.tasks.c.id)).all() == []
        assert connection.execute(sa.select(schema.inbox.c.processed_at)).scalars().all() == [None]
    engine.dispose()
    store = Store(url)
    try:
        wait_for(lambda: store.inbox_counts()["waiting"] == 0, seconds=60)
        assert len(store.rows(schema.tasks)) == COUNT
    finally:
        store.close()


def test_a_large_one_that_is_cut_off_is_taken_as_a_whole_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    parts: list[int] = []
    merge = state.merge

    def ends(*args: Any) -> Any:
        parts.append(1)
        if len(parts) == 3:
            raise sa.exc.OperationalError("INSERT", {}, error)
        return merge(*args)

    monkeypatch.setattr(state, "merge", ends)
    store.append_event(many_tasks(COUNT))
    wait_for(lambda: store.inbox_counts()["waiting"] == 0, seconds=60)
    assert store.inbox_counts()["failed"] == 0
    assert [row["id"] for row in store.rows(schema.tasks)] == list(range(1, COUNT + 1))
    assert len(parts) == 3 + -(-COUNT // intake.PART)


def test_a_large_one_that_cannot_be_taken_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "merge", lambda *args: {}["no such"])
    store.append_event(large(1, 2 * BATCH_CHARS))
    wait_for(lambda: store.inbox_counts()["waiting"] == 0, seconds=60)
    [event] = store.rows(schema.inbox)
    assert event["error"].startswith("KeyError")


@pytest.mark.parametrize("text", ["cut", "Zwiebel schälen"])
def test_what_is_clean_is_not_copied(text: str) -> None:
    regions = [{"value": {"labels": [text, None, 1, 0.5]}}, {"value": {"x": 1}}]
    assert clean(regions) is regions
    spoiled = [*regions, {"value": {"labels": ["\0"]}}]
    assert clean(spoiled) == [*regions, {"value": {"labels": [""]}}]
    assert spoiled[2] == {"value": {"labels": ["\0"]}}


def test_reading_and_writing_large_json_lets_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the events nor the columns are read by the parser that is one stretch of C."""
    calls: list[int] = []
    plain = GentleDecoder.decode

    def counted(self: GentleDecoder, text: str) -> Any:
        calls.append(len(text))
        return plain(self, text)

    monkeypatch.setattr(GentleDecoder, "decode", counted)
    event = large(1, 3 * LONG)
    store.append_event(event)
    store.process_pending()
    wait_for(lambda: store.inbox_counts()["waiting"] == 0)
    assert max(calls) > 2 * LONG
    calls.clear()
    query = sa.select(schema.annotations.c.result)
    with store.read() as connection:
        kept = connection.execute(query).scalar_one()
    assert kept == event["annotation"]["result"]
    assert max(calls) > 2 * LONG  # a column of JSON is read alike


@pytest.mark.parametrize("filler", ["", "x" * LONG])
def test_json_is_read_as_json_reads_it(filler: str) -> None:
    value = {"a": [1, -2, 2**70, 0.5, 1e300, "ü", None, True, {}, [], {"b": "c"}], "f": filler}
    text = json.dumps(value)
    assert json_value(text) == json_value(text.encode()) == value
    with pytest.raises(ValueError, match="Expecting"):
        json_value(text[:-1] + ",")


def test_a_full_disk_is_no_fault_of_the_event(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that cannot be taken for it waits, and does not count as unreadable."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    full = threading.Event()
    full.set()
    merge = state.merge

    def failing(*args: Any) -> Any:
        if full.is_set():
            raise sa.exc.OperationalError("INSERT", {}, error)
        return merge(*args)

    monkeypatch.setattr(state, "merge", failing)
    store.append_event(created(annotation(1, [])))
    with pytest.raises(sa.exc.OperationalError):
        store.process_pending()
    assert store.inbox_counts() == {"events": 1, "waiting": 1, "failed": 0}
    full.clear()
    wait_for(lambda: store.inbox_counts()["waiting"] == 0)
    assert store.inbox_counts()["failed"] == 0


def test_a_prediction_without_an_id_is_known_by_what_it_says() -> None:
    """Its digest is in databases: it stays what ``json.dumps`` of the whole gave."""
    said = {"result": [box(1, 2, 3, 4), {"b": "ü", "a": None}], "model_version": "v"}
    row = prediction_row(said, task_id=7, project_id=1, received_at="2026-01-01")
    content = json.dumps([7, "v", said["result"]], sort_keys=True).encode()
    assert row["key"] == hashlib.sha256(content).hexdigest()
