"""The backend while its database answers nothing but errors: every route says so, in words."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from backend.settings import Settings
from backend.web.app import create_app
from tests.backend.prediction.test_batch import CONFIG
from tests.fakes import FakeGrounder
from tests.images import image_url

SETUP = {"project": "1.5", "schema": CONFIG, "hostname": "http://localhost:8080"}
TASKS = [{"id": n, "data": {"image": image_url(), "text": "cut tomato"}} for n in range(30)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("broken"), qa_sync_minutes=0)
    app = create_app(settings, FakeGrounder())

    def fail(*_: Any, **__: Any) -> Any:
        raise sa.exc.OperationalError("SELECT secret", {}, Exception("disk I/O error"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sa.Engine, "connect", fail)
        patch.setattr(sa.Engine, "begin", fail)
        yield app.test_client()
    app.extensions["videogem"].close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/setup", SETUP),
        ("POST", "/setup", {"project": "2.5", "schema": CONFIG}),
        ("POST", "/predict", {"project": "1.5", "tasks": TASKS[:1], "label_config": CONFIG}),
        ("POST", "/predict", {"project": "1.5", "tasks": TASKS, "label_config": CONFIG}),
        ("POST", "/webhook", {"action": "PROJECT_UPDATED", "project": {"id": 1}}),
        ("GET", "/jobs", None),
        ("POST", "/jobs/retry", {}),
        ("GET", "/qa", None),
        ("GET", "/qa/people", None),
        ("GET", "/qa/revision", None),
        ("GET", "/qa/summary.json", None),
        ("GET", "/qa/regions.csv", None),
        ("GET", "/qa/audit/1/0/frame.jpg", None),
        ("GET", "/metrics", None),
        ("GET", "/versions", None),
        ("GET", "/health", None),
        ("GET", "/health?details", None),
    ],
)
def test_no_route_fails_without_words(
    client: FlaskClient, method: str, path: str, body: Any
) -> None:
    answer = client.open(path, method=method, json=body)
    assert answer.status_code in (200, 201, 503), answer.text
    assert "secret" not in answer.text
    if answer.status_code == 503:
        assert "database" in answer.status


def test_the_start_page_says_what_is_wrong(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert "it cannot be read just now" in answer.text
    assert "secret" not in answer.text
