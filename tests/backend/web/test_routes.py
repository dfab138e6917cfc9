"""The five routes, against what Label Studio 1.23.2 really sends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.database.keys import ProjectKey
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.images import image_url

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"
PREDICTS = sorted(path.stem for path in RECORDINGS.glob("predict_*.json"))
WEBHOOKS = sorted(path.stem for path in RECORDINGS.glob("webhook_*.json"))


class MemoryStore(Store):
    """Keeps what the routes hand on, beside storing it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.events: list[Any] = []
        self.predictions: list[tuple[ProjectKey, list[tuple[int, Any]]]] = []

    def append_event(self, payload: Any, server: str = "") -> bool:
        self.events.append(payload)
        return super().append_event(payload, server)

    def record_all(self, key: ProjectKey, predictions: Any) -> None:
        self.predictions.append((key, list(predictions)))
        super().record_all(key, predictions)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    store = MemoryStore(Settings(data_dir=tmp_path).database)
    yield store
    store.close()


@pytest.fixture
def client(tmp_path: Path, store: MemoryStore) -> Iterator[FlaskClient]:
    app = create_app(Settings(data_dir=tmp_path), FakeGrounder(), store)
    yield app.test_client()
    app.extensions["videogem"].close()


def exchanges(name: str) -> list[dict[str, Any]]:
    return json.loads((RECORDINGS / f"{name}.json").read_text())["exchanges"]


def with_images(body: dict[str, Any]) -> dict[str, Any]:
    """The recorded request with frames that exist."""
    for task in body["tasks"]:
        for key, value in task["data"].items():
            if isinstance(value, str) and value.startswith("/data/"):
                task["data"][key] = image_url()
    return body


def test_health_tells_the_model_state(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json["status"] == "UP"
    assert answer.json["model_state"] == "ready"


@pytest.mark.parametrize("name", ["setup", "setup_extra_params"])
def test_setup_answers_with_the_version(client: FlaskClient, name: str) -> None:
    for exchange in exchanges(name):
        answer = client.post("/setup", json=exchange["request"]["json"])
        assert (answer.status_code, answer.json) == (200, {"model_version": "fake-1"})


def test_setup_tells_which_field_was_taken(client: FlaskClient) -> None:
    config = (
        '<View><Text name="a" value="$clip"/><Text name="b" value="$say"/><Image name="i" '
        'value="$i"/><Rectangle name="r" toName="i"/></View>'
    )
    answer = client.post("/setup", json={"project": "1.0", "schema": config}).json
    assert answer is not None
    assert answer["model_version"] == "fake-1"
    assert "taken from 'clip', not from say" in answer["notes"][0]


def test_versions(client: FlaskClient) -> None:
    assert client.get("/versions").json == {"versions": ["fake-1"]}


@pytest.mark.parametrize("name", PREDICTS)
def test_predict_answers_every_recorded_request(
    client: FlaskClient, store: MemoryStore, name: str
) -> None:
    for exchange in exchanges(name):
        body = with_images(exchange["request"]["json"])
        answer = client.post("/predict", json=body)
        assert answer.status_code == 200
        assert len(answer.json["results"]) == len(body["tasks"])
        for prediction in answer.json["results"]:
            assert prediction["model_version"] == "fake-1"
            assert 0 <= prediction["score"] <= 1
            types = [region["type"] for region in prediction["result"]]
            assert types == ["keypointlabels", "rectanglelabels"]


def test_predict_gives_point_and_box_in_percent(client: FlaskClient) -> None:
    body = with_images(exchanges("predict_one_task")[0]["request"]["json"])
    point, box = client.post("/predict", json=body).json["results"][0]["result"]
    assert (point["from_name"], point["to_name"]) == ("kp", "frame")
    assert (point["value"]["x"], point["value"]["y"]) == (50.0, 25.0)
    assert (box["from_name"], box["to_name"]) == ("box", "frame")
    assert box["value"] == {
        "x": 40.0, "y": 15.0, "width": 20.0, "height": 20.0, "rotation": 0,
        "rectanglelabels": ["object"],
    }  # fmt: skip
    assert (box["original_width"], box["original_height"]) == (64, 48)


def test_a_broken_task_keeps_its_reason_and_spares_the_others(
    client: FlaskClient, store: MemoryStore
) -> None:
    body = with_images(exchanges("predict_batch_3")[0]["request"]["json"])
    body["tasks"][1]["data"]["frame"] = "data:image/png;base64,AAAA"
    results = client.post("/predict", json=body).json["results"]
    assert [("result" in item) for item in results] == [True, False, True]
    assert "cannot be read" in results[1]["error"]
    recorded = sorted(task for _, pairs in store.predictions for task, _ in pairs)
    assert recorded == sorted(body["tasks"][i]["id"] for i in (0, 2))


@pytest.mark.parametrize("name", WEBHOOKS)
def test_webhooks_are_stored_before_the_answer(
    client: FlaskClient, store: MemoryStore, name: str
) -> None:
    sent = [exchange["request"]["json"] for exchange in exchanges(name)]
    for payload in sent:
        assert client.post("/webhook", json=payload).status_code == 201
    assert store.events == sent


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/setup", {}),
        ("/setup", []),
        ("/predict", {"tasks": None, "label_config": "<View/>"}),
        ("/predict", {"tasks": [1], "label_config": "<View/>"}),
        ("/webhook", {}),
        ("/webhook", {"action": 3}),
    ],
)
def test_requests_label_studio_never_sends_get_a_reason(
    client: FlaskClient, path: str, body: Any
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json["error"].startswith(("/", "A webhook"))


def test_a_hopeless_config_is_refused_in_the_status_line(client: FlaskClient) -> None:
    config = '<View><Text name="t" value="$t"/><Choices name="c" toName="t"/></View>'
    answer = client.post("/setup", json={"project": "1.2", "schema": config})
    assert answer.status_code == 400
    assert answer.json["error"] in answer.status


def test_an_empty_config_may_be_connected_but_not_predicted_with(client: FlaskClient) -> None:
    body = {"project": "1.2", "schema": "<View></View>"}
    assert client.post("/setup", json=body).status_code == 200
    body = {"project": "1.2", "tasks": [{"id": 1, "data": {}}], "label_config": "<View></View>"}
    answer = client.post("/predict", json=body)
    assert (answer.status_code, "still empty" in answer.json["error"]) == (400, True)


@pytest.mark.parametrize("data", ["text", [1], [{"frame": 1}], 3, True])
def test_data_that_are_no_object_are_that_tasks_reason(client: FlaskClient, data: Any) -> None:
    body = with_images(exchanges("predict_batch_3")[0]["request"]["json"])
    body["tasks"][1]["data"] = data
    results = client.post("/predict", json=body).json["results"]
    assert [("result" in item) for item in results] == [True, False, True]
    assert "must be a JSON object" in results[1]["error"]


@pytest.mark.parametrize("id", [10**30, -1, True, "7", "../../x", [1], {"id": 1}, 2.5])
def test_ids_that_no_task_has_are_no_ids(client: FlaskClient, id: Any) -> None:
    body = with_images(exchanges("predict_one_task")[0]["request"]["json"])
    body["tasks"][0]["id"] = id
    assert "result" in client.post("/predict", json=body).json["results"][0]
    event = {"action": "TASKS_CREATED", "project": {"id": 1}, "tasks": [body["tasks"][0], "x"]}
    assert client.post("/webhook", json=event).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"value": "text"},
        {"value": {"x": "{{7*7}}", "y": 1}},
        {"value": {"x": 10**400, "y": 1}},
        {"value": {"x": 5, "y": 5, "width": None, "height": [1]}},
        {"to_name": [1], "from_name": {}},
        {"item_index": 10**30},
    ],
)
def test_a_smart_region_of_another_form_gets_a_reason(
    client: FlaskClient, change: dict[str, Any]
) -> None:
    body = with_images(exchanges("predict_interactive_ui")[0]["request"]["json"])
    body["params"]["context"]["result"][-1] |= change
    answer = client.post("/predict", json=body)
    assert answer.status_code in (200, 400)
    assert answer.status_code == 200 or "smart" in answer.json["error"]


@pytest.mark.parametrize("path", ["/webhook", "/setup", "/predict"])
def test_json_without_end_gets_a_reason(client: FlaskClient, path: str) -> None:
    raw = b'{"action": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = client.post(path, data=raw, content_type="application/json")
    assert (answer.status_code, "nested" in answer.json["error"]) == (400, True)


@pytest.mark.parametrize("token", [["a"], 5, {"a": 1}, "a\r\nX: y", "é", "a" * 10_000, True])
def test_a_token_of_another_form_is_none(client: FlaskClient, token: Any) -> None:
    body = exchanges("setup")[0]["request"]["json"] | {"access_token": token}
    for _ in range(2):  # the second is compared with what the first left
        assert client.post("/setup", json=body).status_code == 200


@pytest.mark.parametrize("text", ["cut\ud800 it", "cut\0 it", "\udfff cut it"])
def test_texts_no_database_takes(client: FlaskClient, text: str) -> None:
    body = with_images(exchanges("predict_one_task")[0]["request"]["json"])
    for name, value in body["tasks"][0]["data"].items():
        if not value.startswith("data:"):
            body["tasks"][0]["data"][name] = text
    assert "result" in client.post("/predict", json=body).json["results"][0]


@pytest.mark.parametrize("event", ["capabilities", "prewarm", "release", "something-new", 5])
@pytest.mark.parametrize("num_tasks", [None, 0, 1, 2])
def test_events_that_ask_for_no_prediction_are_answered_in_form(
    client: FlaskClient, store: MemoryStore, event: Any, num_tasks: int | None
) -> None:
    body = with_images(exchanges("predict_interactive_api")[0]["request"]["json"])
    body["params"]["context"] = {**body["params"]["context"], "event": event}
    tasks = body.pop("tasks")
    if num_tasks is not None:
        body["tasks"] = (tasks * 2)[:num_tasks]
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200
    nothing = {"result": [], "score": 0.0, "model_version": "fake-1"}
    assert answer.json == {"results": [nothing] * max(1, num_tasks or 0)}
    assert not store.predictions


def test_an_event_that_asks_for_a_prediction_is_one(client: FlaskClient) -> None:
    body = with_images(exchanges("predict_interactive_api")[0]["request"]["json"])
    plain = client.post("/predict", json=body).json
    body["params"]["context"]["event"] = "predict"
    assert client.post("/predict", json=body).json == plain
    assert plain["results"][0]["result"]
