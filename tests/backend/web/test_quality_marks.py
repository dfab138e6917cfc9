"""Marks over HTTP: by programs and by forms, with and without a password."""

import base64

import pytest
from flask import Flask
from pydantic import SecretStr

from backend.qa.marks import all_marks
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.quality import create_blueprint
from tests.qa_events import created
from tests.qa_marks import SERVER, send, tiny


@pytest.fixture
def store(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()


def client_of(store, tmp_path, **settings):
    app = Flask("qa-test")
    app.register_blueprint(create_blueprint(store, Settings(data_dir=tmp_path, **settings)))
    return app.test_client()


@pytest.fixture
def client(store, tmp_path):
    return client_of(store, tmp_path)


def test_a_program_marks_a_suspect_and_its_reasons_are_kept(client, store):
    send(store, created(tiny(1)), created(tiny(2)))
    assert len(client.get("/qa/figures.json").json["audit"]) == 2
    body = {"annotation": 1, "item": 0, "server": SERVER, "verdict": "fix", "by": "Ana"}
    answer = client.post("/qa/marks", json={**body, "note": "a seed"})
    assert answer.status_code == 201
    assert (answer.json["reasons"], answer.json["marked_by"]) == (["tiny"], "Ana")
    figures = client.get("/qa/figures.json").json
    assert [row["annotation_id"] for row in figures["audit"]] == [2]
    assert figures["marks"]["evidence"]["tiny"]["n"] == 1
    assert "suspects" not in figures
    found = client.get("/qa/marks.json?project=1").json
    assert [(m["verdict"], m["note"], m["counts"]) for m in found["marks"]] == [
        ("fix", "a seed", True)
    ]
    assert found["evidence"]["tiny"]["hits"] == 1
    assert client.get("/qa/marks.json?project=2").json == {"marks": [], "evidence": {}}
    lines = client.get("/qa/marks.csv").get_data(as_text=True).splitlines()
    assert lines[0].startswith("id,project_id,task_id,annotation_id,item,verdict,reasons")
    assert ",fix,tiny,Ana," in lines[1]
    client.post("/qa/marks", json={**body, "verdict": "open"})
    assert len(client.get("/qa/figures.json").json["audit"]) == 2


def test_reasons_are_kept_where_nobody_asked_for_the_list_before(client, store):
    send(store, created(tiny(1)))
    assert client.post("/qa/marks", json={"annotation": 1, "verdict": "fine"}).status_code == 201
    assert all_marks(store)[0]["reasons"] == ["tiny"]


def test_a_form_marks_and_goes_on_to_where_it_says_within_the_pages(client, store):
    send(store, created(tiny(1)))
    form = {"annotation": "1", "item": "0", "server": SERVER, "verdict": "fine", "by": "Ana"}
    answer = client.post("/qa/marks", data={**form, "next": "/qa/review?at=2"})
    assert (answer.status_code, answer.location) == (303, "/qa/review?at=2")
    for elsewhere in ("//evil.example", "http://evil.example/qa", "/qa\\evil", "", "/qa\n"):
        assert client.post("/qa/marks", data={**form, "next": elsewhere}).location == "/qa"
    assert all_marks(store)[0]["marked_by"] == "Ana"


def test_whoever_signs_in_is_who_marks(store, tmp_path):
    signed = {"basic_auth_user": "lead", "basic_auth_password": SecretStr("p")}
    client = client_of(store, tmp_path, **signed)
    send(store, created(tiny(1)))
    header = {"Authorization": "Basic " + base64.b64encode(b"lead:p").decode()}
    body = {"annotation": 1, "verdict": "fine", "by": "somebody else"}
    client.post("/qa/marks", json=body, headers=header)
    assert all_marks(store)[0]["marked_by"] == "lead"


def test_what_was_changed_meanwhile_is_not_marked(client, store):
    send(store, created(tiny(1)))
    body = {"annotation": 1, "verdict": "fine", "seen": "of before"}
    answer = client.post("/qa/marks", json=body)
    assert answer.status_code == 409
    assert "Look at it again" in answer.json["error"]
    assert all_marks(store) == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"annotation": 1, "verdict": "good"}, "fine, fix, open"),
        ({"annotation": 1, "verdict": 3}, "verdict"),
        ({"annotation": "x", "verdict": "fix"}, "annotation must be a whole number"),
        ({"annotation": True, "verdict": "fix"}, "annotation"),
        ({"annotation": -1, "verdict": "fix"}, "annotation"),
        ({"annotation": 1, "item": -1, "verdict": "fix"}, "item"),
        ({"annotation": 1, "server": 5, "verdict": "fix"}, "server"),
        ({"annotation": 8, "verdict": "fix"}, "no annotation 8"),
        ({}, "annotation must be a whole number from 0, got nothing"),
        ([], "JSON object"),
    ],
)
def test_a_mark_that_cannot_be_is_refused_in_words(client, store, values, named):
    send(store, created(tiny(1)))
    answer = client.post("/qa/marks", json=values)
    assert answer.status_code == 400
    assert named in answer.json["error"]
    assert all_marks(store) == []
