"""Two Label Studios with the same ids on one store, and a store of the time before."""

import json

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import migrate, open_engine
from backend.database.keys import ProjectKey
from backend.database.webhook_states import WebhookStates
from backend.qa.queries import summary
from backend.qa.report import build_report
from backend.qa.selection import Filters
from backend.qa.store import Store
from tests.qa_events import annotation, box, created, point, prediction

ONE, TWO = (ProjectKey(server, 1) for server in ("http://one.example", "http://two.example"))
GUESS = prediction([point(30, 30), box(20, 20, 20, 20)], id=70)


def check_two_servers(store: Store) -> None:
    """Same ids of project, task, annotation, prediction: neither server sees the other's."""
    here = annotation(
        5, [point(30, 30), box(20, 20, 20, 20)], task=5, parent_prediction=70, prediction=GUESS
    )
    there = annotation(
        5, [point(30, 30), box(70, 70, 9, 9)], task=5, parent_prediction=70, prediction=GUESS
    )
    store.append_event(created(here), ONE.server)
    store.append_event(created(there), TWO.server)
    project = {"id": 1, "title": "kitchen", "label_config": "<View/>"}
    for key in (ONE, TWO):
        store.append_event({"action": "PROJECT_UPDATED", "project": project}, key.server)
        store.record_all(key, [(6, {**GUESS, "id": None})])
    store.process_pending()
    assert (summary(store, ONE)["hits"], summary(store, TWO)["hits"]) == (1, 0)
    assert (summary(store, ONE)["n"], summary(store, TWO)["n"], summary(store)["n"]) == (1, 1, 2)
    report = build_report(store, Filters())
    assert [p["server"] for p in report["projects"]] == [ONE.server, TWO.server]
    assert {row["name"] for row in report["breakdowns"]["project_id"]} == {
        f"1@{ONE.server}",
        f"1@{TWO.server}",
    }
    assert len({row["annotator"] for row in report["annotators"]}) == 2
    deleted = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}], "project": {"id": 1}}
    store.append_event(deleted, TWO.server)
    store.process_pending()
    assert (summary(store, ONE)["n"], summary(store, TWO)["n"]) == (1, 0)
    left = [(a["server"], bool(a["deleted_at"])) for a in store.rows(schema.annotations)]
    assert left == [(ONE.server, False), (TWO.server, True)]


def check_migration(url: str) -> None:
    """A store of the first revision keeps every row, and its one server adopts them."""
    engine = open_engine(url)
    migrate(engine, "0001")
    made = annotation(5, [point(30, 30), box(20, 20, 20, 20)], task=5, parent_prediction=70)
    rows = {
        "projects": {"id": 1, "title": "kitchen", "label_config": "<View/>", "version": "1"},
        "tasks": {"id": 5, "project_id": 1, "data": "{}", "version": "1"},
        "annotations": {
            "id": 5, "project_id": 1, "task_id": 5, "result": json.dumps(made["result"]),
            "was_cancelled": False, "ground_truth": False, "parent_prediction": 70,
            "annotator": 3, "lead_time": 2.5, "created_at": "2026-01-01", "version": "2026-01-02 0",
        },
        "predictions": {
            "key": "ls-70", "label_studio_id": 70, "project_id": 1, "task_id": 5,
            "model_version": "m", "score": 0.5, "result": json.dumps(GUESS["result"]),
            "created_at": "2026-01-01",
        },
        "scores": {
            "annotation_id": 5, "position": 0, "task_id": 5, "project_id": 1, "counted": True,
            "hit": True, "data": "{}",
        },
        "inbox": {"received_at": "2026-01-01", "action": "X", "payload": "{}"},
        "facts": {"name": "n", "value": "v"},
    }  # fmt: skip
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        for table, row in rows.items():
            names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    engine.dispose()
    store = Store(url)
    try:
        for name in ("projects", "tasks", "annotations", "predictions", "inbox"):
            [found] = store.rows(schema.metadata.tables[name])
            assert found["server"] == ""
            for column, value in rows[name].items():
                kept = found[column]
                assert kept == value or json.dumps(kept) == value, (name, column)
        assert summary(store)["hits"] == 1
        store.adopt(ONE.server)
        assert summary(store, ONE)["hits"] == 1
        names = ("projects", "tasks", "annotations", "predictions", "scores", "inbox")
        for table in (schema.metadata.tables[name] for name in names):
            assert {row["server"] for row in store.rows(table)} == {ONE.server}
    finally:
        store.close()


def check_migration_of_0004(url: str) -> None:
    """A store of the fourth revision, with rows of two servers, keeps them all."""
    engine = open_engine(url)
    migrate(engine, "0004")
    text = "INSERT INTO projects (server, id, title, label_config, version, sync_error) VALUES "
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        for server, error in ((ONE.server, None), (TWO.server, "30 of 30 are gone")):
            row = {"server": server, "error": error}
            values = "(:server, 1, 'kitchen', '<View/>', '1', :error)"
            connection.execute(sa.text(text + values), row)
            inbox = {"received_at": "2026-01-01", "action": "X", "payload": "{}", "server": server}
            connection.execute(schema.inbox.insert().values(**inbox))
    engine.dispose()
    store = Store(url)
    try:
        found = [
            (p["server"], p["sync_error"], p["synced_at"]) for p in store.rows(schema.projects)
        ]
        assert found == [(ONE.server, None, None), (TWO.server, "30 of 30 are gone", None)]
        assert [row["server"] for row in store.rows(schema.inbox)] == [ONE.server, TWO.server]
        states = WebhookStates(store.engine)
        states.note(ONE, "failed", "none leads here")
        assert WebhookStates(store.engine).get(ONE).state == "failed"
        store.note_sync(TWO, None)
        assert store.rows(schema.projects)[1]["synced_at"] is not None
    finally:
        store.close()


HOSTILE = {
    "nan": float("nan"), "inf": float("-inf"), "nul": "a\0b", "half": "\ud800x", "huge": 10**40,
    "\0key": 1, "\udfff": "y",
}  # fmt: skip


def check_hostile_values(store: Store) -> None:
    """What JSON allows and a database may not: the event counts all the same."""
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=70)
    guess |= {"score": float("nan"), "model_version": "m\0\ud800"}
    left = [point(30, 30), box(20, 20, 20, 20)]
    made = annotation(5, left, task=5, parent_prediction=70, prediction=guess)
    made |= {"lead_time": float("inf"), "completed_by": 10**40}
    made["result"].append({"type": "textarea", "value": {"text": list(HOSTILE.values())}})
    event = created(made)
    event["task"] = {"id": 5, "data": {"narration": "cut\0 the \ud800onion", "more": HOSTILE}}
    store.append_event({**event, "project": {"id": 1, "title": "\0\ud800", "label_config": "\0"}})
    store.record_all(ProjectKey("", 1), [(6, {**guess, "id": None, "score": float("inf")})])
    store.process_pending()
    assert store.inbox_counts() == {"events": 1, "waiting": 0, "failed": 0}
    [kept] = store.rows(schema.annotations)
    assert (kept["annotator"], kept["lead_time"]) == (None, None)
    assert len(store.rows(schema.predictions)) == 2
    assert {row["annotation_id"] for row in store.rows(schema.scores)} == {5}
    assert build_report(store, Filters())["inbox"]["failed"] == 0
