"""Basic authentication: everything but /health, for browsers and for Label Studio."""

import base64
import logging
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backend.settings import Settings
from backend.web.app import create_app
from backend.web.auth import gate_of
from backend.web.logins import FREE, SECONDS_EACH
from backend.web.serving import refusing
from tests.backend.prediction.test_batch import CONFIG
from tests.fakes import FakeGrounder

SETUP = {"project": "1.5", "schema": CONFIG}


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    settings = Settings(data_dir=tmp_path, basic_auth_user="zoë", basic_auth_password="pä:ss")
    return create_app(settings, FakeGrounder()).test_client()


def header(text: str, encoding: str = "utf-8") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode(encoding)).decode()}


def test_health_is_open_and_the_start_page_is_not(client: FlaskClient) -> None:
    assert client.get("/health").status_code == 200
    assert client.get("/health", headers={"Accept": "text/html"}).status_code == 200
    assert client.get("/").json == client.get("/health").json
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 401


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_right_password_opens(client: FlaskClient, encoding: str) -> None:
    headers = header("zoë:pä:ss", encoding)
    assert client.post("/setup", json=SETUP, headers=headers).status_code == 200


@pytest.mark.parametrize("scheme", ["basic ", "BASIC ", "Basic  "])
def test_the_scheme_is_spelled_as_http_allows(client: FlaskClient, scheme: str) -> None:
    value = header("zoë:pä:ss")["Authorization"].replace("Basic ", scheme)
    answer = client.post("/setup", json=SETUP, headers={"Authorization": value})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        header("zoë:wrong"),
        header("someone:pä:ss"),
        {"Authorization": "Basic ???"},
        {"Authorization": "Token x"},
        {"Authorization": "Basic \xff\xfe"},
    ],
)
@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook", "/jobs/retry", "/nowhere"])
def test_anything_else_does_not(client: FlaskClient, path: str, headers: dict[str, str]) -> None:
    answer = client.post(path, json=SETUP, headers=headers)
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]
    # Label Studio's connect dialog shows the status line alone.
    assert "VIDEOGEM_BASIC_AUTH_USER and VIDEOGEM_BASIC_AUTH_PASSWORD" in answer.status
    assert ("connect dialog" in answer.status) != ("Authorization" in headers)


def test_guessing_by_large_bodies_is_slowed_down_too(tmp_path: Path) -> None:
    """The server asks before it reads them: right and wrong were told apart there at full speed."""
    settings = Settings(data_dir=tmp_path, basic_auth_user="zoë", basic_auth_password="pä:ss")
    app = create_app(settings, FakeGrounder())
    refuse = refusing(gate_of(app))

    def code(password: str, address: str) -> int:
        given = header(f"zoë:{password}")["Authorization"]
        refusal = refuse({"AUTHORIZATION": given}, address)
        return 200 if refusal is None else refusal.code

    guesses = [code(f"guess {number}", "203.0.113.9") for number in range(30)]
    assert guesses == [401] * FREE + [429] * (30 - FREE)
    assert code("pä:ss", "203.0.113.9") == 429
    assert code("pä:ss", "192.0.2.8") == 200
    # Small requests from there wait as well: it is one count.
    answer = app.test_client().post(
        "/setup", json=SETUP, headers=header("zoë:pä:ss"),
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )  # fmt: skip
    assert answer.status_code == 429
    assert refuse({}, "192.0.2.8") is not None  # Label Studio's first try has none: no guess


def test_guessing_is_slowed_down_and_others_are_not(client: FlaskClient) -> None:
    def code(password: str, address: str) -> int:
        at = {"REMOTE_ADDR": address}
        headers = header(f"zoë:{password}")
        return client.post("/setup", json=SETUP, headers=headers, environ_base=at).status_code

    assert code("pä:ss", "192.0.2.7") == 200
    guesses = [code(f"guess {number}", "203.0.113.9") for number in range(30)]
    assert guesses == [401] * FREE + [429] * (30 - FREE)
    # Not even the right one is looked at there now, or guessing would go on at full speed.
    assert code("pä:ss", "203.0.113.9") == 429
    assert code("pä:ss", "192.0.2.8") == 200
    # Whoever was in stays in, though somebody guesses from the same address.
    for number in range(30):
        assert code(f"guess {number}", "192.0.2.7") == 401
    assert code("pä:ss", "192.0.2.7") == 200


def test_who_has_to_wait_is_told_how_long(client: FlaskClient) -> None:
    for number in range(FREE + 1):
        answer = client.get("/jobs", headers=header(f"zoë:{number}"))
    seconds = int(answer.headers["Retry-After"])
    assert answer.status_code == 429 and 0 < seconds <= SECONDS_EACH
    assert f"wait {seconds} s" in answer.status
    assert client.get("/health").status_code == 200


def test_a_lost_webhook_is_told_in_the_log_without_secrets(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.post("/webhook", json={"action": "X"}, headers=header("zoë:wrong"))
    assert "webhook" in caplog.text
    assert "pä:ss" not in caplog.text
    assert "wrong" not in caplog.text
