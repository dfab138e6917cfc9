"""The model under label-studio-ml's own server, in a process of its own."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from backend.labeling.ready import ready_config
from tests.images import image_url

CONFIG = ready_config("frame")
PROJECT = "7.1700000000"


def task(number: int, narration: str) -> dict[str, Any]:
    return {"id": number, "data": {"frame": image_url(), "narration": narration}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sdk")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """waitress serving ``backend.web.sdk:make_app``, as the module's docstring says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "LABEL_STUDIO_ML_BACKEND_V2": "1",
        "VIDEOGEM_DATA_DIR": str(folder),
    }
    command = [sys.executable, "-m", "waitress", "--threads", "4"]
    command += ["--listen", f"127.0.0.1:{port}", "--call", "backend.web.sdk:make_app"]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(240):
                if process.poll() is not None:
                    break
                try:
                    if requests.get(f"{url}/health", timeout=30).ok:
                        break
                except requests.ConnectionError:
                    time.sleep(0.5)
            else:
                pytest.fail((folder / "log.txt").read_text())
            assert process.poll() is None, (folder / "log.txt").read_text()
            yield url
        finally:
            process.terminate()
            process.wait(20)


def predict(server: str, tasks: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    body = {"tasks": tasks, "project": PROJECT, "label_config": CONFIG, "params": {}} | more
    answer = requests.post(f"{server}/predict", json=body, timeout=100)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_predictions_before_setup_with_regions_and_no_version_of_their_own(server):
    results = predict(server, [task(1, "cook the carrot"), task(2, "ride the bicycle")])
    assert len(results) == 2
    for result in results:
        assert {region["type"] for region in result["result"]} >= {
            "keypointlabels",
            "rectanglelabels",
        }
        assert 0 <= result["score"] <= 1
        assert "model_version" not in result


def test_setup_and_versions_name_the_same_version(server):
    body = {"project": PROJECT, "schema": CONFIG, "hostname": "", "access_token": ""}
    version = requests.post(f"{server}/setup", json=body, timeout=10).json()["model_version"]
    assert version.startswith("videogem-")
    assert requests.get(f"{server}/versions", timeout=10).json() == {"versions": [version]}


def test_a_task_that_fails_says_why_and_leaves_the_others(server):
    bad, good = predict(server, [task(1, "  "), task(2, "cook the carrot")])
    assert "narration" in bad["error"] and "result" not in bad
    assert good["result"]


def test_a_hopeless_config_is_told_without_a_traceback(server):
    config = CONFIG.replace('toName="frame"', 'toName="nowhere"')
    assert config != CONFIG
    (result,) = predict(server, [task(1, "cook")], label_config=config)
    assert "result" not in result and result["error"]


def test_webhooks_are_stored_before_they_are_answered(server, folder):
    event = {"action": "ANNOTATIONS_DELETED", "project": {"id": 7}, "annotations": [{"id": 1}]}
    answer = requests.post(f"{server}/webhook", json=event, timeout=5)
    assert answer.status_code == 201 and answer.json() == {"status": "ok"}
    # The server's own process holds the database; a second reader sees what was committed.
    database = folder / "quality.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (payload,) = connection.execute("select payload from inbox").fetchone()
    assert "ANNOTATIONS_DELETED" in payload


def test_the_door_is_the_same_as_that_of_videogem_serve(server):
    webhook = {"action": "PROJECT_UPDATED", "project": {"id": 1}}
    page = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    for strange, status in (page, 403), ({"Host": "evil.example"}, 400):
        answer = requests.post(f"{server}/webhook", json=webhook, headers=strange, timeout=10)
        assert answer.status_code == status
    policy = requests.get(f"{server}/health", timeout=10).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
