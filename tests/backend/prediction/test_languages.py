"""A project whose narration is not English is told once: in the log, and with its jobs."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest

from backend.database.keys import ProjectKey
from backend.labeling.config import parse_labeling
from backend.prediction.job_rows import STATES
from backend.prediction.languages import Languages
from backend.prediction.task_fields import Project
from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.images import image_url

CONFIG = (
    '<View><Image name="i" value="$i"/><Text name="t" value="$say"/>'
    '<Rectangle name="r" toName="i"/></View>'
)
GERMAN = "Jetzt schneidest du die Tomate mit dem Messer und dann rührst du die Soße."


def project(number: int = 1, config: str = CONFIG) -> Project:
    key = ProjectKey("http://ls", number)
    return Project(number, config, parse_labeling(config), "v", key=key)


def task(said: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"i": image_url(), "say": said}}


def notes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "seems to be" in r.getMessage()]


@pytest.mark.parametrize(
    "said", [GERMAN, [GERMAN], [{"start": 0, "end": 1, "text": GERMAN}], f"<p>{GERMAN}</p>"]
)
def test_it_is_told_once_for_each_project(caplog: pytest.LogCaptureFixture, said: Any) -> None:
    languages = Languages()
    for _ in range(3):
        languages.look([task(said)], project())
    assert len(notes(caplog)) == 1
    assert "project 1: The narration seems to be German" in notes(caplog)[0]
    languages.look([task(said)], project(2))
    assert len(notes(caplog)) == 2


def test_nothing_is_told_of_english_and_of_what_is_too_short(
    caplog: pytest.LogCaptureFixture,
) -> None:
    languages = Languages()
    broken: list[Any] = [{"id": 2, "data": []}, {"id": 3}, task(None), task({"text": GERMAN})]
    languages.look([task("cut"), task("Now you cook the dumplings."), *broken[:3]], project())
    actions = '<View><Image name="i" value="$i"/><Choices name="c" toName="i"><Choice value="cut"/>'
    languages.look([task(GERMAN)], project(config=f"{actions}</Choices></View>"))
    assert notes(caplog) == []
    assert languages.note(ProjectKey("http://ls", 1)) is None


@pytest.fixture
def app(tmp_path: Path) -> Iterator[flask.Flask]:
    app = create_app(Settings(data_dir=tmp_path), FakeGrounder())
    yield app
    app.extensions["videogem"].close()


def test_the_service_tells_it(app: flask.Flask, caplog: pytest.LogCaptureFixture) -> None:
    client = app.test_client()
    body = {"project": "7.1", "label_config": CONFIG, "tasks": [task(GERMAN)]}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert client.post("/predict", json=body).status_code == 200
    assert len(notes(caplog)) == 1
    service = app.extensions["videogem"]
    key = service.connections.key("7.1")
    counts = {key: dict.fromkeys(STATES, 0)}
    service.jobs.counts = lambda project=None: counts
    [row] = client.get("/jobs").json["projects"]
    assert row["note"].startswith("The narration seems to be German")
    page = client.get("/jobs", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert "seems to be German" in page
