"""Batches: every task ends up predicted once, whatever happens meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from backend.database.keys import ProjectKey, server_name
from backend.label_studio.client import LabelStudio
from backend.prediction.batch import DIRECT
from backend.prediction.delivery import deliver
from backend.prediction.jobs import Jobs
from backend.prediction.model import BackgroundModel
from backend.settings import Settings
from backend.web.app import create_app
from tests.fake_label_studio import FakeLabelStudio, fake_label_studio
from tests.fakes import FakeGrounder
from tests.images import image_url
from videogem.errors import InputError
from videogem.structures import Clip, Grounding

CONFIG = (
    '<View><Image name="i" value="$i"/><Text name="t" value="$t"/>'
    '<KeyPoint name="k" toName="i"/></View>'
)
TOKEN = "0123456789abcdef0123456789abcdef01234567"
FRAME = image_url(8, 8)


class Slow(FakeGrounder):
    """Takes 20 ms a frame."""

    def ground(self, clip: Clip, narrations: Any) -> list[Grounding]:
        time.sleep(0.02)
        return super().ground(clip, narrations)


class Held(FakeGrounder):
    """Answers only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def ground(self, clip: Clip, narrations: Any) -> list[Grounding]:
        self.free.wait(60)
        return super().ground(clip, narrations)


def make_tasks(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "data": {"i": FRAME, "t": "cut tomato"}} for n in range(1, count + 1)]


@pytest.fixture
def label_studio() -> Iterator[FakeLabelStudio]:
    with fake_label_studio(CONFIG, make_tasks(60)) as fake:
        yield fake


Start = Callable[..., FlaskClient]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running = []

    def make(
        label_studio: FakeLabelStudio | None = None, model: Any = None, **options: Any
    ) -> FlaskClient:
        if label_studio is not None:
            options |= {"label_studio_url": label_studio.url, "label_studio_api_key": TOKEN}
        app = create_app(Settings(data_dir=tmp_path, **options), model or Slow())
        running.append(app.extensions["videogem"])
        return app.test_client()

    yield make
    for service in running:
        service.close()


def predict(client: FlaskClient, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = {"project": "1.5", "tasks": tasks, "label_config": CONFIG, "params": {"context": None}}
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200
    assert len(answer.json["results"]) == len(tasks)
    return answer.json["results"]


def store_as_label_studio_does(
    label_studio: FakeLabelStudio, tasks: list[dict[str, Any]], results: list[dict[str, Any]]
) -> None:
    for task, result in zip(tasks, results, strict=True):
        if "result" in result:
            label_studio.predictions.append({"id": 0, "task": task["id"], **result})


def row(client: FlaskClient) -> dict[str, Any]:
    rows = client.get("/jobs?project=1").json["projects"]
    return rows[0] if rows else {}


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_the_time_does_not_suffice_for_is_delivered_later(
    label_studio: FakeLabelStudio, start: Start
) -> None:
    model = Held()
    client = start(label_studio, model, predict_budget=0.3)
    tasks = label_studio.tasks[:DIRECT]
    results = predict(client, tasks)
    assert not all("result" in item for item in results)
    model.free.set()
    assert all("/jobs" in item["error"] for item in results if "result" not in item)
    store_as_label_studio_does(label_studio, tasks, results)
    wait_for(lambda: row(client)["done"] == len(tasks))
    assert list(label_studio.count().values())[:DIRECT] == [1] * DIRECT


def test_a_large_request_is_answered_at_once_and_delivered_in_bulk(
    label_studio: FakeLabelStudio, start: Start
) -> None:
    client = start(label_studio)
    results = predict(client, label_studio.tasks)
    assert not any("result" in item for item in results)
    wait_for(lambda: row(client)["done"] == len(results))
    assert set(label_studio.count().values()) == {1}
    asked = [request.path for request in label_studio.server.requests]
    assert "/api/predictions/" not in asked
    assert asked.count("/api/projects/1/import/predictions") < 10
    saved = asked.index("/api/projects/1/import/predictions")
    before = label_studio.server.requests[:saved]
    assert not any("query=" in request.query for request in before)  # one count was enough


def test_impatient_requests_make_no_duplicates(label_studio: FakeLabelStudio, start: Start) -> None:
    client = start(label_studio, predict_budget=0.2)
    tasks = label_studio.tasks[:30]

    def press(_: int) -> None:
        results = predict(client.application.test_client(), tasks)
        store_as_label_studio_does(label_studio, tasks, results)

    with ThreadPoolExecutor() as pool:
        list(pool.map(press, range(4)))
    wait_for(lambda: row(client)["done"] == len(tasks), 60)
    assert set(list(label_studio.count().values())[:30]) == {1}


def test_without_a_token_results_wait_to_be_asked_for(start: Start) -> None:
    client = start(predict_budget=0.1)
    tasks = make_tasks(20)
    first = predict(client, tasks)
    assert not all("result" in item for item in first)
    wait_for(lambda: row(client)["ready"] + row(client)["done"] == 20)
    assert all("result" in item for item in predict(client, tasks)[10:])


def test_kept_results_are_delivered_when_label_studio_announces_itself(
    label_studio: FakeLabelStudio, start: Start
) -> None:
    client = start(prelabel_on_import=True)
    project = {"id": 1, "label_config": CONFIG}
    event = {"action": "TASKS_CREATED", "tasks": make_tasks(5), "project": project}
    client.post("/webhook", json=event)
    wait_for(lambda: row(client).get("ready") == 5)
    announced = {"hostname": label_studio.url, "access_token": TOKEN}
    client.post("/setup", json={"project": "1.5", "schema": CONFIG, **announced})
    wait_for(lambda: row(client)["done"] == 5)
    assert sum(label_studio.count().values()) == 5


def test_waiting_tasks_survive_a_restart(label_studio: FakeLabelStudio, start: Start) -> None:
    label_studio.down = True
    client = start(label_studio, predict_budget=0.05)
    predict(client, label_studio.tasks)
    service = client.application.extensions["videogem"]
    service.runner.stop()
    left = row(client)["queued"] + row(client)["ready"]
    assert left > 0
    label_studio.down = False
    service.jobs.wake(ProjectKey(server_name(label_studio.url), 1))  # not to wait for the retry
    again = start(label_studio, predict_budget=0.05)
    wait_for(lambda: row(again)["done"] == 60)


def test_failures_keep_their_reason_and_are_tried_again_on_request(
    label_studio: FakeLabelStudio, start: Start
) -> None:
    client = start(label_studio)
    tasks = make_tasks(3)
    tasks[1]["data"]["t"] = ""
    results = predict(client, tasks)
    assert ["result" in item for item in results] == [True, False, True]
    [failure] = client.get("/jobs").json["failures"]
    assert (failure["task"], "narration" in failure["reason"]) == (2, True)
    assert client.post("/jobs/retry?project=1").json == {"queued": 1}
    wait_for(lambda: row(client)["failed"] == 1)
    assert "result" in predict(client, [make_tasks(2)[1]])[0]
    assert row(client)["failed"] == 0


def test_a_defect_costs_one_task_only(start: Start) -> None:
    class Fragile(FakeGrounder):
        def ground(self, clip: Clip, narrations: Any) -> list[Grounding]:
            if "bad" in narrations[0]:
                raise ZeroDivisionError
            return super().ground(clip, narrations)

    tasks = make_tasks(3)
    tasks[0]["data"]["t"] = "bad"
    results = predict(start(model=Fragile()), tasks)
    assert ["result" in item for item in results] == [False, True, True]
    assert "Defect" in results[0]["error"]


def test_a_deleted_task_does_not_hold_up_the_others(
    label_studio: FakeLabelStudio, start: Start
) -> None:
    client = start(label_studio, prelabel_on_import=True)
    tasks = [*make_tasks(3), {"id": 999, "data": {"i": FRAME, "t": "cut"}}]
    project = {"id": 1, "label_config": CONFIG}
    event = {"action": "TASKS_CREATED", "tasks": tasks, "project": project}
    client.post("/webhook", json=event)
    wait_for(lambda: row(client).get("done") == 3 and row(client)["failed"] == 1)


def test_an_import_is_predicted_by_itself(label_studio: FakeLabelStudio, start: Start) -> None:
    client = start(label_studio, prelabel_on_import=True)
    event = {
        "action": "TASKS_CREATED",
        "tasks": make_tasks(5),
        "project": {"id": 1, "label_config": CONFIG},
    }
    assert client.post("/webhook", json=event).status_code == 201
    assert client.post("/webhook", json={"action": "TASKS_CREATED"}).status_code == 201
    wait_for(lambda: row(client).get("done") == 5)
    assert sum(label_studio.count().values()) == 5


def test_a_model_that_cannot_be_loaded_is_told(start: Start) -> None:
    def load() -> FakeGrounder:
        raise InputError("There are no weights.")

    client = start(model=BackgroundModel("v", load))
    wait_for(lambda: client.get("/health").json["model_state"] == "failed")
    assert "no weights" in predict(client, make_tasks(1))[0]["error"]
    assert client.post("/setup", json={"project": "1.5", "schema": CONFIG}).status_code == 200


def test_tasks_without_ids_are_predicted_too(start: Start) -> None:
    [item] = predict(start(), [{"data": {"i": FRAME, "t": "cut tomato"}}])
    assert len(item["result"]) == 1


def test_no_tasks_no_results(start: Start) -> None:
    assert predict(start(), []) == []


def test_the_page_for_people(start: Start) -> None:
    client = start()
    tasks = make_tasks(1)
    tasks[0]["data"]["t"] = ""
    predict(client, tasks)
    page = client.get("/jobs", headers={"Accept": "text/html"}).text
    assert "Try all again" in page


def test_the_quality_page_shows_the_jobs(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), FakeGrounder())
    service = app.extensions["videogem"]
    client = app.test_client()
    try:
        assert "Pre-labelling" not in client.get("/qa/data").text
        predict(client, make_tasks(2))
        assert "Pre-labelling" in client.get("/qa/data?project=1").text
        assert "Doctor" in client.get("/doctor", headers={"Accept": "text/html"}).text
        assert client.get("/doctor").json["checks"][0]["name"] == "data folder"
    finally:
        service.close()


def test_a_failing_quality_store_loses_no_prediction(
    label_studio: FakeLabelStudio, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    monkeypatch.setattr("backend.qa.store.Store.record_all", fail)
    client = start(label_studio)
    assert all("result" in item for item in predict(client, label_studio.tasks[:3]))
    assert row(client)["done"] == 3
    predict(client, label_studio.tasks[10:40])
    wait_for(lambda: row(client)["done"] == 33)
    assert sum(label_studio.count().values()) == 30


def test_a_job_list_that_cannot_be_written_does_not_cost_small_requests_their_answer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    client = start()
    monkeypatch.setattr(Jobs, "begin", fail)
    assert all("result" in item for item in predict(client, make_tasks(3)))


def test_a_queue_left_by_another_model_is_dropped(
    label_studio: FakeLabelStudio, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held()
    first = start(label_studio, held)
    predict(first, label_studio.tasks)
    service = first.application.extensions["videogem"]
    held.free.set()
    service.runner._stop = True
    service.close()
    left = [task for task, count in label_studio.count().items() if not count]
    assert left
    second = start(label_studio, FakeGrounder(version="other-2"))
    wait_for(lambda: not any(row(second).get(state) for state in ("queued", "running", "ready")))
    versions = {one["model_version"] for one in label_studio.predictions}
    assert "other-2" not in versions
    assert "jobs dropped" in caplog.text
    predict(second, label_studio.tasks)
    wait_for(lambda: row(second)["done"] >= len(label_studio.tasks))
    assert {one["model_version"] for one in label_studio.predictions} == {*versions, "other-2"}


def test_what_was_predicted_for_an_older_config_is_not_delivered(
    label_studio: FakeLabelStudio, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    client = start(label_studio)
    label_studio.config = CONFIG.replace("<View>", '<View model_top="2">')  # no webhook tells
    predict(client, label_studio.tasks)
    wait_for(lambda: not any(row(client).get(state) for state in ("queued", "running", "ready")))
    assert label_studio.predictions == []
    assert "jobs dropped" in caplog.text


def test_a_webhook_tells_that_the_config_has_changed(start: Start) -> None:
    model = Held()
    client = start(model=model)
    event = {"action": "PROJECT_UPDATED", "project": {"id": 1, "label_config": "<View><A/></View>"}}
    client.application.extensions["videogem"].jobs.enqueue(
        ProjectKey("", 1), CONFIG, "fake-1", make_tasks(30)
    )
    assert client.post("/webhook", json=event).status_code == 201
    # At once, or when the database, held by a busy machine's other writer, is free again.
    waits = ("queued", "running", "ready")
    wait_for(lambda: not any(row(client).get(state) for state in waits))
    model.free.set()


def test_a_bad_task_is_found_by_halving(label_studio: FakeLabelStudio) -> None:
    pairs = [(task["id"], {"result": [], "model_version": "v"}) for task in label_studio.tasks]
    found = deliver(
        LabelStudio(label_studio.url, SecretStr(TOKEN)), 1, [*pairs, (999, pairs[0][1])]
    )
    assert [each.task for each in found if each.error] == [999]
    assert set(label_studio.count().values()) == {1}
    posts = [r for r in label_studio.server.requests if r.path.endswith("import/predictions")]
    assert len(posts) < 15
