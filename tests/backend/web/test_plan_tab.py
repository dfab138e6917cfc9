"""The Plan tab and the reliability of people: what the estimates say, on pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backend.qa.estimates.accepting import follow, look, start_rule
from backend.qa.estimates.review_plan import plan_reviews
from backend.qa.estimates.rules import Taken, taken
from backend.qa.events import Changes, project_row
from backend.settings import Settings
from backend.web.app import create_app
from tests.fake_acceptance import FakeBulk
from tests.fakes import FakeGrounder
from tests.qa_events import CREATED
from tests.review_world import PROJECT, stored_project

PROMISE = {"precision": 0.95, "confidence": 0.9}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app(Settings(data_dir=tmp_path, qa_sync_minutes=0), FakeGrounder())
    yield app.test_client()
    app.extensions["videogem"].close()


def text_of(client: FlaskClient, path: str) -> str:
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def test_it_tells_the_estimate_the_rounds_and_the_rules(client: FlaskClient) -> None:
    store = client.application.extensions["videogem"].store
    assert "No labels came back yet" in text_of(client, "/qa/plan")
    made = stored_project(store, 400, accuracy=0.99)
    made.review([0])
    project = {"id": 7, "title": "kitchen", "label_config": "<View/>", "updated_at": CREATED}
    store.merge("", Changes(projects=[project_row(project, CREATED)]))
    said = text_of(client, "/qa/plan")  # the only project there is
    assert "1 of at least 30 reviewed tasks" in said
    assert "No plan was drawn yet" in said
    assert "Nothing is accepted in bulk" in said
    drawn = plan_reviews(store, PROJECT, 120, seed=1).tasks
    assert "of all 120 tasks drawn so far" in text_of(client, "/qa/plan?project=7")
    made.review(drawn)
    said = text_of(client, "/qa/plan?project=7")
    assert "1 round reviewed" in said
    assert "From tasks drawn by plan" in said
    seen = look(store, PROJECT, **PROMISE)
    rule = start_rule(store, PROJECT, seen, share=0.3, **PROMISE)
    follow(store, FakeBulk(made.made.scores), PROJECT, rule, lambda done, total: None)
    assert "What each rule guarantees" in text_of(client, "/qa/plan?project=7")
    made.review([row["task_id"] for row in taken(store, rule, Taken.check)][:8], "missed")
    said = text_of(client, "/qa/plan?project=7")
    assert f"Rule {rule.id} is withdrawn: 8 of 8 spot checks found a miss" in said
    assert "qa accept --project 7 --undo" in said


def test_people_are_rated_where_several_did_a_task(client: FlaskClient) -> None:
    store = client.application.extensions["videogem"].store
    made = stored_project(store, 40)
    for person in (1, 2, 3):
        made.review(range(20), annotator=person)
    said = text_of(client, "/qa/people?project=7")
    assert "How reliable annotators are" in said
    assert "<td>20</td>" in said
    assert "Noise of boxes" in said
