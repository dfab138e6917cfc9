"""Nothing in the store grows without end, and what can be recomputed is."""

import json

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from backend.cli import app
from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa import rescoring, state, upkeep
from backend.qa.intake import Intake
from backend.qa.queries import summary
from backend.qa.store import Store
from backend.qa.times import later, now
from backend.qa.upkeep import compact
from tests.qa_events import annotation, box, created, point, prediction

ONE = ProjectKey("", 1)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(Intake, "_work", lambda self: None)
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()


def event(id, dx=0):
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=id)
    return created(annotation(id, [box(20 + dx, 20, 20, 20)], task=id, prediction=guess))


def age(store, days, *conditions):
    with store.write() as connection:
        aged = {"processed_at": later(now(), -86400 * days)}
        where = schema.inbox.c.processed_at.is_not(None), *conditions
        connection.execute(schema.inbox.update().where(*where).values(**aged))


def test_events_that_were_counted_long_ago_are_dropped_and_no_figure_changes(store, monkeypatch):
    monkeypatch.setattr(upkeep, "COMPACT_BATCH", 3)
    for id in range(1, 11):
        store.append_event(event(id, dx=0 if id % 2 else 40))
    store.process_pending()
    age(store, 31)
    for id in range(11, 14):  # young
        store.append_event(event(id))
    store.process_pending()
    store.append_event(event(99))  # waits
    before, counts, revision = summary(store, ONE), store.inbox_counts(), store.revision()
    assert compact(store.engine, 30) == 10
    assert len(store.rows(schema.inbox)) == 4
    assert summary(store, ONE) == before
    assert store.inbox_counts() == counts
    assert store.revision() == revision
    assert compact(store.engine, 30) == 0
    store.process_pending()
    assert summary(store, ONE)["n"] == 14


def test_a_late_repeat_of_a_dropped_event_brings_nothing_back(store):
    store.append_event(event(1))
    store.append_event({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}]})
    store.process_pending()
    age(store, 31)
    assert compact(store.engine, 30) == 2
    store.append_event(event(1))
    store.process_pending()
    assert summary(store, ONE)["n"] == 0


def test_events_that_cannot_be_read_are_kept_up_to_a_number(store, monkeypatch):
    monkeypatch.setattr(upkeep, "MAX_FAILED", 2)
    monkeypatch.setattr(state, "merge", lambda *given: 1 / 0)
    for id in range(1, 6):
        store.append_event(event(id))
    store.process_pending()
    age(store, 400)
    assert compact(store.engine, 30) == 3
    assert [row["id"] for row in store.rows(schema.inbox)] == [4, 5]


def test_the_worker_compacts_by_itself_unless_told_to_keep_all(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "backend.qa.intake.compact", lambda _engine, days, _stop: asked.append(days) or 0
    )
    for days in (0.0, 7.0):
        store = Store(f"sqlite:///{tmp_path}/qa.db", keep_days=days)
        store.intake._compact_at_times()
        store.intake._compact_at_times()
        store.close()
    assert set(asked) == {7.0}
    assert len(asked) <= 2


def scores(store):
    return [{**row, "data": json.dumps(row["data"])} for row in store.rows(schema.scores)]


def test_recomputing_brings_back_the_figures_from_the_state_alone(store, monkeypatch):
    monkeypatch.setattr(rescoring, "RECOMPUTE_BATCH", 2)
    for id in range(1, 8):
        store.append_event(event(id, dx=0 if id % 2 else 40))
    store.append_event({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 7}]})
    store.process_pending()
    right = scores(store)
    age(store, 99)
    compact(store.engine, 30)
    with store.write() as connection:
        connection.execute(schema.scores.delete().where(schema.scores.c.task_id < 4))
        connection.execute(schema.scores.update().values(hit=False, task_id=77))
        stray = {"server": "", "annotation_id": 500, "position": 0, "task_id": 1, "project_id": 1,
                 "counted": True, "hit": True, "data": {}}  # fmt: skip
        connection.execute(schema.scores.insert().values(**stray))
    revision = store.revision()
    done = store.recompute()
    assert scores(store) == right
    assert (done.tasks, done.after, done.retried) == (7, len(right), 0)
    assert store.revision() != revision


def test_recomputing_tries_unreadable_events_again_but_none_that_ended_its_process(
    store, monkeypatch
):
    merge = state.merge
    monkeypatch.setattr(state, "merge", lambda *given: 1 / 0)
    store.append_event(event(1))
    store.append_event(event(2))
    store.process_pending()
    with store.write() as connection:
        ended = schema.inbox.update().where(schema.inbox.c.id == 2)
        connection.execute(ended.values(error=f"{upkeep.ENDED} 3 times"))
    monkeypatch.setattr(state, "merge", merge)
    assert store.recompute().retried == 1
    assert store.inbox_counts() == {"events": 2, "waiting": 0, "failed": 1}
    assert summary(store, ONE)["n"] == 1


def test_the_command_says_what_it_did(tmp_path):
    url = f"sqlite:///{tmp_path}/qa.db"
    store = Store(url)
    store.append_event(event(1))
    store.process_pending()
    with store.write() as connection:
        connection.execute(sa.delete(schema.scores))
    store.close()
    said = CliRunner().invoke(app, ["qa", "recompute", "--database", url])
    assert said.exit_code == 0, said.output
    assert "1 tasks with annotations scored anew" in said.output
    assert "0 before" in said.output
    store = Store(url)
    assert summary(store, ONE)["n"] == 1
    store.close()
