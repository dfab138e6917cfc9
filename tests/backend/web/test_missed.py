"""What happened in Label Studio while this backend was down is found when it starts."""

from pathlib import Path
from typing import Any

import pytest

from backend.qa import sync
from backend.settings import Settings
from backend.web.app import create_app
from tests.backend.prediction.test_batch import CONFIG, TOKEN, wait_for
from tests.fake_label_studio import FakeLabelStudio, fake_label_studio
from tests.fake_webhooks import FakeWebhooks, hook
from tests.fakes import FakeGrounder
from tests.qa_events import annotation, box, point, prediction

MISSED = 1000


def task(number: int) -> dict[str, Any]:
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=number)
    made = annotation(number, [box(20, 20, 20, 20)], task=number, parent_prediction=number)
    return {"id": number, "project": 1, "data": {}, "annotations": [made], "predictions": [guess]}


def start(folder: Path, label_studio: FakeLabelStudio) -> Any:
    settings = Settings(
        data_dir=folder,
        label_studio_url=label_studio.url,
        label_studio_api_key=TOKEN,
        qa_sync_minutes=0,
    )
    return create_app(settings, FakeGrounder())


def test_a_backend_that_was_down_fetches_what_it_missed_and_mends_its_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "START_S", 0.0)
    with fake_label_studio(CONFIG, []) as label_studio:
        webhooks = FakeWebhooks(label_studio.server, hook(url="http://localhost/webhook"))
        webhooks.models[0]["url"] = "http://localhost"
        app = start(tmp_path, label_studio)
        body = {"project": "1.5", "schema": CONFIG, "hostname": label_studio.url}
        assert app.test_client().post("/setup", json=body).status_code == 200
        app.extensions["videogem"].close()

        label_studio.tasks += [task(1 + i) for i in range(MISSED)]
        webhooks.hooks[1]["is_active"] = False

        app = start(tmp_path, label_studio)
        client = app.test_client()
        try:
            wait_for(
                lambda: client.get("/qa/summary.json?project=1").json["n"] == MISSED, seconds=120
            )
            assert webhooks.hooks[1]["is_active"]
            # What came is counted before the webhook's state is kept.
            wait_for(lambda: "it was switched off" in client.get("/qa?project=1").text)
            assert "it was switched off" not in client.get("/qa?project=2").text
        finally:
            app.extensions["videogem"].close()
