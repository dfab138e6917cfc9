"""A team lead sees how many tasks are left without a prediction, and that it is no defect."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.images import image_url
from videogem.structures import Clip, Grounding

CONFIG = (
    '<View model_presence_threshold="0.5"><Image name="i" value="$i"/>'
    '<Text name="t" value="$t"/><KeyPoint name="k" toName="i"/></View>'
)
HTML = {"Accept": "text/html"}


class Knowing(FakeGrounder):
    """Sees soup in no frame."""

    def _ground(self, clip: Clip, narration: str) -> Grounding:
        found = super()._ground(clip, narration)
        return replace(found, presence=0.1 if "soup" in narration else 0.9, scoring="fake")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app(Settings(data_dir=tmp_path), Knowing())
    yield app.test_client()
    app.extensions["videogem"].close()


def predict(client: FlaskClient, project: int, *said: str) -> None:
    frame = image_url(8, 8)
    tasks = [{"id": n, "data": {"i": frame, "t": text}} for n, text in enumerate(said, start=1)]
    body: dict[str, Any] = {"project": f"{project}.5", "tasks": tasks, "label_config": CONFIG}
    assert (
        client.post("/setup", json={"project": f"{project}.5", "schema": CONFIG}).status_code < 300
    )
    assert client.post("/predict", json={**body, "params": {"context": None}}).status_code == 200


def test_the_job_list_tells_them_from_other_failures(client: FlaskClient) -> None:
    predict(client, 1, "stir soup", "cut tomato", "", "taste soup")
    predict(client, 2, "cut tomato", "")
    rows = {row["project"]: row for row in client.get("/jobs").json["projects"]}
    assert (rows[1]["failed"], rows[1]["not_in_frame"], rows[1]["done"]) == (3, 2, 1)
    assert (rows[2]["failed"], rows[2]["not_in_frame"]) == (1, 0)
    page = client.get("/jobs", headers=HTML).text
    assert page.count("not in this frame)") == 1
    assert "(2 not in this frame)" in page


def test_the_start_page_and_the_quality_page_say_how_many(client: FlaskClient) -> None:
    predict(client, 1, "stir soup", "cut tomato", "taste soup")
    predict(client, 2, "stir soup")
    predict(client, 3, "cut tomato", "")
    start = client.get("/", headers=HTML).text
    assert start.count("not in this frame") == 2
    assert "2 not in this frame" in start
    assert "3 tasks have no prediction: no frame" in client.get("/qa").text
    assert "1 task has no prediction: no frame" in client.get("/qa?project=2").text
    assert "no prediction: no frame" not in client.get("/qa?project=3").text
    assert "no prediction: no frame" not in client.get("/qa/data").text


def test_metrics_count_them_by_project(client: FlaskClient) -> None:
    predict(client, 1, "stir soup", "cut tomato", "", "taste soup")
    predict(client, 2, "cut tomato", "")
    lines = [line for line in client.get("/metrics").text.splitlines() if "_not_in_frame{" in line]
    [line] = lines
    assert 'project="1"' in line
    assert line.endswith(" 2.0")
    # The next question finds what is shown: it counts no more.
    predict(client, 1, "cut soup", "cut tomato", "", "cut tomato")
    assert "not_in_frame{" in client.get("/metrics").text
    predict(client, 1, "cut tomato", "cut tomato", "cut tomato", "cut tomato")
    assert "not_in_frame{" not in client.get("/metrics").text
