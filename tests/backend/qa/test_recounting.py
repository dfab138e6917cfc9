"""After an update that counts otherwise: everything is counted anew, and pages answer meanwhile."""

import threading
import time

import pytest
import sqlalchemy as sa
from flask import Flask

from backend.database import schema
from backend.qa import recounting
from backend.qa.facts import get_fact, put_fact
from backend.qa.ledger import Ledger
from backend.qa.queries import summary
from backend.qa.recounting import Recounter
from backend.qa.scoring import SCORING_VERSION
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.quality import create_blueprint
from tests.qa_world import team_events

SET = threading.Event()
SET.set()
NEVER = threading.Event()


def wait_until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def store(tmp_path):
    """Reviews whose scores another version made: it called everything a miss."""
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    for event in team_events(40):
        store.append_event(event)
    store.process_pending()
    store.right = summary(store)
    wait_until(lambda: store.intake._recounter._over)  # else it would count what follows anew
    scores = schema.scores
    with store.write() as connection:
        connection.execute(scores.update().where(scores.c.hit.is_not(None)).values(hit=False))
        orphan = {"annotation_id": 999, "position": 0, "task_id": 1, "counted": False}
        [any_row] = connection.execute(sa.select(scores).limit(1)).mappings()
        connection.execute(scores.insert().values({**any_row, **orphan}))
        put_fact(connection, "scoring_version", "old")
    store.ledger = Ledger(store.read)
    assert summary(store)["hits"] == 0
    yield store
    store.close()


def test_a_process_that_serves_starts_at_once_and_counts_behind(store):
    other = Store(store.url, behind=True)
    try:
        wait_until(lambda: summary(other) == store.right)
        assert other.recount() is None
        assert not other.rows(schema.scores, schema.scores.c.annotation_id == 999)
        with other.read() as connection:
            assert get_fact(connection, "scoring_version") == SCORING_VERSION
    finally:
        other.close()


def test_programs_that_run_once_wait_for_it(store):
    other = Store(store.url)
    try:
        assert summary(other) == store.right == summary(store)
    finally:
        other.close()


def test_the_page_says_how_far_it_is_and_a_process_goes_on_where_another_ended(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(recounting, "AT_ONCE", 7)
    monkeypatch.setattr(recounting, "TURN_S", 60.0)
    assert Recounter(store.engine).go_on(stop=SET, asked=NEVER)
    app = Flask("qa-test")
    app.register_blueprint(create_blueprint(store, Settings(data_dir=tmp_path)))
    page = app.test_client().get("/qa").get_data(as_text=True)
    assert "7 of 40 tasks are counted anew" in page
    after = Recounter(store.engine)
    assert after.go_on(stop=NEVER, asked=SET)
    assert store.recount()[:2] == (14, 40)
    assert not after.go_on(stop=NEVER, asked=NEVER)
    assert store.recount() is None
    assert summary(store) == store.right
    assert "counted anew" not in app.test_client().get("/qa").get_data(as_text=True)


def test_while_the_rows_are_read_first_pages_and_metrics_answer(store, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.qa.ledger.FIRST_S", 0.1)
    store.ledger = Ledger(store.read)
    going_on = threading.Event()
    load = store.ledger._load
    monkeypatch.setattr(store.ledger, "_load", lambda *asked: going_on.wait(60) and load(*asked))
    app = Flask("qa-test")
    app.register_blueprint(create_blueprint(store, Settings(data_dir=tmp_path)))
    client = app.test_client()
    page = client.get("/qa", headers={"Accept": "text/html"})
    assert page.status_code == 503
    number = len(store.rows(schema.scores))
    assert f"0 of {number} rows" in page.get_data(as_text=True)
    figures = client.get("/qa/figures.json", headers={"Accept": "application/json"})
    assert (figures.status_code, figures.headers["Retry-After"]) == (503, "2")
    metrics = client.get("/metrics").get_data(as_text=True)
    assert "videogem_qa_predictions 40" in metrics
    assert "videogem_qa_points" not in metrics
    going_on.set()
    wait_until(lambda: client.get("/qa").status_code == 200)
    assert "videogem_qa_points" in client.get("/metrics").get_data(as_text=True)
