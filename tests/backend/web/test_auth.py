"""Basic authentication: everything but /health, for browsers and for Label Studio."""

import base64
import logging
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backend.settings import Settings
from backend.web.app import create_app
from tests.backend.prediction.test_batch import CONFIG
from tests.fakes import FakeGrounder

SETUP = {"project": "1.5", "schema": CONFIG}


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    settings = Settings(data_dir=tmp_path, basic_auth_user="zoë", basic_auth_password="pä:ss")
    return create_app(settings, FakeGrounder()).test_client()


def header(text: str, encoding: str = "utf-8") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode(encoding)).decode()}


def test_health_is_open(client: FlaskClient) -> None:
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_right_password_opens(client: FlaskClient, encoding: str) -> None:
    headers = header("zoë:pä:ss", encoding)
    assert client.post("/setup", json=SETUP, headers=headers).status_code == 200


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


def test_a_lost_webhook_is_told_in_the_log_without_secrets(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.post("/webhook", json={"action": "X"}, headers=header("zoë:wrong"))
    assert "webhook" in caplog.text
    assert "pä:ss" not in caplog.text
    assert "wrong" not in caplog.text
