"""The job list flows: what is slow holds up itself alone."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.database.replicas import Replicas
from backend.prediction import runner
from backend.prediction.model import BackgroundModel
from backend.prediction.runner import CLAIM
from backend.settings import Settings
from backend.web.app import create_app
from tests.backend.prediction.test_batch import CONFIG, TOKEN, make_tasks, predict, row, wait_for
from tests.fake_label_studio import FakeLabelStudio, fake_label_studio
from tests.fakes import FakeGrounder
from tests.http_server import Answer, Request
from tests.images import png
from videogem.errors import InputError

NUM_TASKS = 3 * CLAIM


@pytest.fixture
def label_studio() -> Iterator[FakeLabelStudio]:
    with fake_label_studio(CONFIG, make_tasks(NUM_TASKS)) as fake:
        yield fake


def test_a_task_that_hangs_does_not_hold_up_those_behind_it(
    label_studio: FakeLabelStudio, tmp_path: Path
) -> None:
    let_go = threading.Event()

    def slow(request: Request) -> Answer:
        let_go.wait(60)
        return Answer(png(8, 8), headers={"Content-Type": "image/png"})

    label_studio.server.routes["/data/upload/1/slow.png"] = slow
    label_studio.tasks[0]["data"]["i"] = "/data/upload/1/slow.png"
    settings = Settings(
        data_dir=tmp_path, label_studio_url=label_studio.url, label_studio_api_key=TOKEN
    )
    app = create_app(settings, FakeGrounder())
    client = app.test_client()
    try:
        predict(client, label_studio.tasks)
        wait_for(lambda: row(client)["ready"] + row(client)["done"] == NUM_TASKS - 1)
        assert row(client)["running"] == 1
        let_go.set()
        wait_for(lambda: row(client)["done"] == NUM_TASKS, seconds=60)
    finally:
        let_go.set()
        app.extensions["videogem"].close()
    assert set(label_studio.count().values()) == {1}


@pytest.mark.parametrize("slow", ["model", "libraries"])
def test_no_job_is_taken_while_anything_loads(
    label_studio: FakeLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """What ends the process meanwhile is no job's fault, and must not count as a try of any."""
    loaded = threading.Event()

    def load() -> FakeGrounder:
        if slow == "model":
            loaded.wait(60)
        return FakeGrounder()

    if slow == "libraries":
        monkeypatch.setattr(runner, "warm_up", lambda: loaded.wait(60))
    settings = Settings(
        data_dir=tmp_path, label_studio_url=label_studio.url, label_studio_api_key=TOKEN
    )
    app = create_app(settings, BackgroundModel(FakeGrounder().version, load))
    client = app.test_client()
    try:
        predict(client, label_studio.tasks)
        seen = {(row(client)["queued"], row(client)["running"]) for _ in wait_some(2.5)}
        assert seen == {(NUM_TASKS, 0)}
        loaded.set()
        wait_for(lambda: row(client)["done"] == NUM_TASKS, seconds=60)
    finally:
        loaded.set()
        app.extensions["videogem"].close()


def test_a_backend_without_its_model_leaves_the_jobs_to_one_that_has_it(
    label_studio: FakeLabelStudio, tmp_path: Path
) -> None:
    def load() -> FakeGrounder:
        raise InputError("There are no weights.")

    version = FakeGrounder().version
    settings = Settings(
        data_dir=tmp_path, label_studio_url=label_studio.url, label_studio_api_key=TOKEN
    )
    broken = create_app(settings, BackgroundModel(version, load))
    parts = broken.extensions["videogem"]
    client = broken.test_client()
    other = Replicas(parts.store.engine)
    try:
        wait_for(lambda: parts.models.default.status.state == "failed")
        other.tell(version, "ready")
        predict(client, label_studio.tasks)
        few = [{**task, "id": NUM_TASKS + task["id"]} for task in label_studio.tasks[:2]]
        assert not any("weights" in item["error"] for item in predict(client, few))
        seen = {(row(client)["queued"], row(client)["failed"]) for _ in wait_some(2.5)}
        assert seen == {(NUM_TASKS + 2, 0)}
        other.close()
        wait_for(lambda: row(client)["failed"] == NUM_TASKS + 2, seconds=60)
    finally:
        parts.close()


def wait_some(seconds: float) -> Iterator[None]:
    """Often within that time: long enough for the runner's look each second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
