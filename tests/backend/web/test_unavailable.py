"""The backend while its database is locked by another process: answers at once, loses nothing."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.database import schema
from backend.database.engine import PATIENCE
from backend.qa.spool import Spool
from backend.settings import Settings
from backend.web.app import create_app
from tests.backend.prediction.test_batch import CONFIG, TOKEN, make_tasks, wait_for
from tests.fake_label_studio import fake_label_studio
from tests.fakes import FakeGrounder
from tests.qa_events import annotation, box, created, point, prediction
from videogem.errors import InputError

SETUP = {"project": "1.5", "schema": CONFIG, "hostname": "http://localhost:8080"}


@pytest.fixture(autouse=True)
def _pages_show_what_came() -> None:
    """In place of the other tests' fixture: how long pages wait is tried here."""


class LockedClient:
    """A client of a backend whose database can be locked from outside."""

    def __init__(self, client: FlaskClient, path: Path) -> None:
        self.client = client
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def n(self) -> int:
        return int(self.client.get("/qa/summary.json").json["n"])  # type: ignore[index]


Start = Callable[..., LockedClient]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    apps = []

    def make(**options: Any) -> LockedClient:
        settings = Settings(data_dir=tmp_path, qa_sync_minutes=0, **options)
        app = create_app(settings, FakeGrounder())
        apps.append(app)
        return LockedClient(app.test_client(), tmp_path / "quality.sqlite3")

    yield make
    for app in apps:
        app.extensions["videogem"].close()


def event(number: int) -> dict[str, Any]:
    guess = prediction([point(30, 30)], id=number)
    return created(annotation(number, [box(20, 20, 20, 20)], task=number, prediction=guess))


def test_every_event_during_a_lock_is_acknowledged_and_counted(start: Start) -> None:
    backend = start()
    with backend.locked():
        statuses = {
            backend.client.post("/webhook", json=event(i)).status_code for i in range(1, 31)
        }
        assert backend.client.get("/health").status_code == 200
    assert statuses == {201}
    wait_for(lambda: backend.n() == 30)


@pytest.mark.parametrize(
    "page", ["/qa", "/qa/summary.json", "/qa/figures.json", "/qa/regions.csv", "/qa/coco.json"]
)
def test_figures_during_a_lock_are_those_of_before(start: Start, page: str) -> None:
    backend = start()
    backend.client.post("/webhook", json=event(1))
    wait_for(lambda: backend.n() == 1)
    with backend.locked():
        backend.client.post("/webhook", json=event(2))
        begun = time.monotonic()
        answer = backend.client.get(page)
        took = time.monotonic() - begun
    assert answer.status_code == 200
    assert took < PATIENCE / 2
    wait_for(lambda: backend.n() == 2)


def test_setup_is_answered_during_a_lock(start: Start) -> None:
    backend = start()
    with backend.locked():
        answer = backend.client.post("/setup", json=SETUP)
    assert (answer.status_code, answer.json) == (200, {"model_version": "fake-1"})


def test_predictions_made_during_a_lock_reach_the_figures(start: Start) -> None:
    backend = start()
    backend.client.post("/setup", json=SETUP)
    body = {"project": "1.5", "tasks": make_tasks(3), "label_config": CONFIG, "params": {}}
    with backend.locked():
        results = backend.client.post("/predict", json=body).json["results"]  # type: ignore[index]
    assert all("result" in each for each in results)
    service = backend.client.application.extensions["videogem"]
    wait_for(lambda: len(service.store.rows(schema.predictions)) == 3)


def test_an_import_during_a_lock_is_predicted_when_it_is_over(start: Start) -> None:
    with fake_label_studio(CONFIG, make_tasks(4)) as label_studio:
        backend = start(
            prelabel_on_import=True,
            label_studio_url=label_studio.url,
            label_studio_api_key=TOKEN,
        )
        project = {"id": 1, "label_config": CONFIG, "created_at": "2026-11-23T00:00:00Z"}
        body = {"action": "TASKS_CREATED", "project": project, "tasks": label_studio.tasks}
        with backend.locked():
            assert backend.client.post("/webhook", json=body).status_code == 201
            assert label_studio.predictions == []
        wait_for(lambda: len(label_studio.predictions) == 4)
        assert set(label_studio.count().values()) == {1}


def test_finished_predictions_of_the_runner_wait_for_the_database(
    start: Start, tmp_path: Path
) -> None:
    with fake_label_studio(CONFIG, make_tasks(30)) as label_studio:
        backend = start(label_studio_url=label_studio.url, label_studio_api_key=TOKEN)
        service = backend.client.application.extensions["videogem"]
        grounder = service.models.default.get()
        body = {"project": "1.5", "tasks": label_studio.tasks, "label_config": CONFIG}
        backend.client.post("/predict", json=body)
        wait_for(lambda: bool(grounder.calls))
        with backend.locked():
            time.sleep(0.5)
        wait_for(lambda: len(label_studio.predictions) == 30, 60)
        assert len(grounder.calls) == 30  # none was made twice
        assert set(label_studio.count().values()) == {1}


def test_an_event_that_can_be_kept_nowhere_is_not_acknowledged(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    backend = start()
    with backend.locked():
        answer = backend.client.post("/webhook", json=event(1))
    assert answer.status_code == 503
    assert "Free some space" in answer.status
    assert backend.client.post("/webhook", json=event(2)).status_code == 201


def test_many_tasks_that_cannot_be_queued_are_refused_in_words(start: Start) -> None:
    backend = start(label_studio_url="http://localhost:9", label_studio_api_key=TOKEN)
    body = {"project": "1.5", "tasks": make_tasks(30), "label_config": CONFIG}
    with backend.locked():
        answer = backend.client.post("/predict", json=body)
    assert answer.status_code == 503
    assert "database" in answer.json["error"]  # type: ignore[index]
    assert not Spool(backend.path.parent / "spool").holds()


def test_a_start_without_its_database_says_so_in_one_sentence(tmp_path: Path) -> None:
    gone = "postgresql://me:secret@127.0.0.1:9/none"
    with pytest.raises(InputError, match=r"cannot be used.*VIDEOGEM_DATABASE_URL") as error:
        create_app(Settings(data_dir=tmp_path, database_url=gone), FakeGrounder())
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
