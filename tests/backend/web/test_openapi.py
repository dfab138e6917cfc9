"""`/openapi.json` says what is true: its routes are the app's, real answers are of its forms."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from backend.settings import Settings
from backend.web.app import create_app
from backend.web.openapi.document import document
from tests.backend.web.test_routes import exchanges, with_images
from tests.fakes import FakeGrounder
from tests.qa_world import team_events

DOCUMENT = document()
GETS = [path for path, methods in DOCUMENT["paths"].items() if "get" in methods]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("data")
    app = create_app(Settings(data_dir=folder, qa_sync_minutes=0), FakeGrounder())
    client = app.test_client()
    for event in team_events(20, images=True):
        assert client.post("/webhook", json=event).status_code == 201
    yield app
    app.extensions["videogem"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def is_of(value: Any, schema: dict[str, Any]) -> None:
    """Check a value, with the document's components at hand."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def told(answer: TestResponse, path: str, method: str = "get") -> None:
    """Check that the document has this answer, and that what it holds is of the form told."""
    answers = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status_code) in answers, (path, answer.status)
    content = answers[str(answer.status_code)]["content"]
    if not content and answer.status_code < 400:
        return
    assert answer.mimetype in content, (path, answer.status, answer.mimetype)
    if answer.mimetype == "application/json":
        is_of(json.loads(answer.get_data()), content[answer.mimetype]["schema"])
    else:
        assert answer.get_data()
    answer.close()


def test_every_route_is_in_it_and_the_other_way_round(app: Flask) -> None:
    routes = {
        (re.sub(r"<(?:[^:>]*:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    written = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert written == routes


def test_names_in_paths_are_its_parameters() -> None:
    for path, item in DOCUMENT["paths"].items():
        for route in item.values():
            named = {p["name"] for p in route.get("parameters", ()) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


def test_it_is_an_openapi_document(client: FlaskClient) -> None:
    answer = client.get("/openapi.json")
    assert answer.json == json.loads(json.dumps(DOCUMENT))
    text = json.dumps(DOCUMENT)
    for name in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert name in DOCUMENT["components"]["schemas"]
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for item in DOCUMENT["paths"].values():
        for route in item.values():
            assert all(answer["description"] for answer in route["responses"].values())


OF_ONE_PROJECT = {
    "/qa/estimate.json": {"project": "1"},
    "/qa/acceptance.json": {"project": "1"},
    "/qa/annotators.json": {"project": "1"},
}


def addresses() -> list[tuple[str, str]]:
    """Every page with a GET, and an address of it."""
    real = {"annotation": "2", "item": "0", "filename": "qa.css"}
    return [(path, path.format(**real)) for path in GETS]


@pytest.mark.parametrize(("path", "address"), addresses())
def test_real_answers_are_of_the_forms_told(client: FlaskClient, path: str, address: str) -> None:
    for kind in ("application/json", "text/html"):
        query = OF_ONE_PROJECT.get(path, {})
        answer = client.get(address, headers={"Accept": kind}, query_string=query)
        assert answer.status_code == 200
        told(answer, path)
    told(client.get(address, query_string="details"), path)


@pytest.mark.parametrize(("path", "address"), addresses())
def test_refusals_are_of_the_forms_told(client: FlaskClient, path: str, address: str) -> None:
    told(client.get(address, query_string={"project": "abc"}), path)
    told(client.get(address, headers={"Host": "evil.example"}), path)
    told(client.get(address, headers={"Origin": "http://evil.example"}), path)
    told(client.put(address), path)
    told(client.get(address.replace("qa.css", "none").replace("/2/0/", "/77/0/")), path)


def test_what_label_studio_sends_and_gets_is_of_the_forms_told(client: FlaskClient) -> None:
    bodies = [
        *(("/setup", e["request"]["json"]) for e in exchanges("setup")),
        *(("/webhook", e["request"]["json"]) for e in exchanges("webhook_tasks_created")),
        *(("/webhook", e["request"]["json"]) for e in exchanges("webhook_no_payload")),
        *(("/predict", with_images(e["request"]["json"]))
          for name in ("predict_batch_3", "predict_interactive_ui") for e in exchanges(name)),
    ]  # fmt: skip
    broken = with_images(exchanges("predict_batch_2")[0]["request"]["json"])
    broken["tasks"][0]["data"] = {}
    for path, body in [*bodies, ("/predict", broken)]:
        route = DOCUMENT["paths"][path]["post"]
        is_of(body, route["requestBody"]["content"]["application/json"]["schema"])
        answer = client.post(path, json=body)
        assert answer.status_code in (200, 201)
        told(answer, path, "post")


@pytest.mark.parametrize("path", [p for p, m in DOCUMENT["paths"].items() if "post" in m])
def test_refused_bodies_get_the_form_told(client: FlaskClient, path: str) -> None:
    for body in (b"", b"[]", b"{}", b'{"tasks": 3}', b"\xff"):
        told(client.post(path, data=body, content_type="application/json"), path, "post")
    told(client.get(path, headers={"Accept": "text/html"}), path, "post")


def test_too_large_and_not_signed_in_are_of_the_forms_told(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, basic_auth_user="u", basic_auth_password=SecretStr("p"),
                        max_request_mb=0.001, qa_sync_minutes=0)  # fmt: skip
    app = create_app(settings, FakeGrounder())
    client = app.test_client()
    answer = client.post("/webhook", json={"action": "X"})
    assert answer.status_code == 401
    told(answer, "/webhook", "post")
    answer = client.post("/webhook", json={"action": "X" * 5000}, auth=("u", "p"))
    assert answer.status_code == 413
    assert "VIDEOGEM_MAX_REQUEST_MB" in answer.json["error"]
    told(answer, "/webhook", "post")
    app.extensions["videogem"].close()
