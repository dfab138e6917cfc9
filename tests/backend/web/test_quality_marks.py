"""Marks over HTTP: by programs and by forms, with and without a password."""

import base64

import pytest
from flask import Flask
from pydantic import SecretStr

from backend.qa.marks import all_marks
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.quality import create_blueprint
from tests.qa_events import created, deleted
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


def page(client, query=""):
    return client.get(f"/qa/review{query}").get_data(as_text=True)


def test_the_review_page_lists_by_what_was_said(client, store):
    send(store, *(created(tiny(id)) for id in (1, 2, 3)))
    form = {"item": "0", "server": SERVER}
    client.post("/qa/reviewer", data={"name": " Zoë <b>\0 "})
    client.post("/qa/marks", data={**form, "annotation": "1", "verdict": "fix", "note": "<i>"})
    client.post("/qa/marks", data={**form, "annotation": "2", "verdict": "fine"})
    shown = page(client)
    assert ["card-1-0" in shown, "card-2-0" in shown, "card-3-0" in shown] == [False, False, True]
    assert "To look at 1" in shown and "To fix 1" in shown and "Fine 1" in shown
    assert "right 1 of 2, 9.5\xa0to\xa090.5\xa0%" in shown
    assert "You are <strong>Zoë &lt;b&gt;</strong>" in shown
    to_fix = page(client, "?state=fix")
    assert "card-1-0" in to_fix and "card-3-0" not in to_fix
    assert "says <bdi>Zoë &lt;b&gt;</bdi>" in to_fix and "&lt;i&gt;" in to_fix
    assert "card-2-0" in page(client, "?state=fine")
    assert "card-3-0" in page(client, "?state=<script>&said=<script>&view=one&page=99")
    assert "card-3-0" not in page(client, "?reason=whole-frame")
    assert "Everything suspicious was looked at" not in shown
    client.post("/qa/marks", data={**form, "annotation": "3", "verdict": "fine"})
    assert "Everything suspicious was looked at" in page(client)


def test_a_form_that_comes_too_late_says_so_on_the_page(client, store):
    send(store, created(tiny(1)))
    form = {"annotation": "1", "server": SERVER, "verdict": "fix", "next": "/qa/review?page=2"}
    answer = client.post("/qa/marks", data={**form, "seen": "of before"})
    assert answer.location == "/qa/review?page=2&said=changed"
    assert "was changed since you looked at it" in page(client, "?said=changed")
    send(store, deleted(1))
    assert client.post("/qa/marks", data=form).location == "/qa/review?page=2&said=gone"
    assert client.post("/qa/marks", data={**form, "verdict": "x"}).status_code == 400
    assert all_marks(store) == []


def test_who_signed_in_is_not_asked_for_a_name(store, tmp_path):
    signed = {"basic_auth_user": "lead", "basic_auth_password": SecretStr("p")}
    client = client_of(store, tmp_path, **signed)
    send(store, created(tiny(1)))
    header = {"Authorization": "Basic " + base64.b64encode(b"lead:p").decode()}
    shown = client.get("/qa/review", headers=header).get_data(as_text=True)
    assert "You are <strong>lead</strong>" in shown
    assert "Your name" not in shown and "not you?" not in shown
    assert "Your name" in page(client_of(store, tmp_path))


def test_a_card_leads_to_its_annotation(client, store):
    send(store, created(tiny(1)))
    assert f'href="{SERVER}/projects/1/data?task=1&amp;annotation=1"' in page(client)
