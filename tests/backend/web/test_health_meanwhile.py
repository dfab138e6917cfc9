"""/health while people wait for a slow host: ten thumbnails and nine smart clicks at a time."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.backend.prediction.test_batch import wait_for
from tests.fake_backend import BackendProcess
from tests.http_server import Answer, Request, Server, http_server
from tests.images import png
from tests.qa_events import annotation, box, created

logger = logging.getLogger(__name__)
CONFIG = (
    '<View><Image name="frame" value="$image"/><Text name="t" value="$narration"/>'
    '<KeyPointLabels name="p" toName="frame" smart="true"><Label value="hand"/></KeyPointLabels>'
    '<RectangleLabels name="box" toName="frame"><Label value="hand"/></RectangleLabels></View>'
)
CLICK = {
    "id": "c1", "type": "keypointlabels", "from_name": "p", "to_name": "frame",
    "value": {"x": 50, "y": 50, "width": 0.3, "keypointlabels": ["hand"]},
}  # fmt: skip
THUMBNAILS, CLICKS, ASKED = 10, 9, 300


class SlowHost:
    """Answers with a picture, but only once it is let go."""

    def __init__(self, server: Server) -> None:
        self.url = server.url.replace("127.0.0.1", "localhost")
        self.waiting = 0
        self.let_go = threading.Event()
        server.fallback = self._answer

    def _answer(self, request: Request) -> Answer:
        self.waiting += 1
        self.let_go.wait(120)
        return Answer(png(64, 48))

    def task(self, number: int) -> dict[str, object]:
        data = {"image": f"{self.url}/{number}.png", "narration": "cut the onion"}
        return {"id": number, "project": 1, "data": data}


@pytest.fixture
def host() -> Iterator[SlowHost]:
    with http_server() as server:
        host = SlowHost(server)
        yield host
        host.let_go.set()


def thumbnail(url: str, number: int) -> int:
    path = f"{url}/qa/audit/{number}/0/frame.jpg"
    return requests.get(path, timeout=200).status_code


def click(url: str, task: dict[str, object]) -> int:
    params = {"context": {"result": [CLICK]}}
    body = {"tasks": [task], "project": "1.1", "label_config": CONFIG, "params": params}
    return requests.post(f"{url}/predict", json=body, timeout=200).status_code


def health(url: str) -> float:
    """Seconds that /health takes on a connection of its own."""
    begun = time.monotonic()
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as link:
        link.request("GET", "/health")
        assert json.load(link.getresponse())["status"] == "UP"
    return time.monotonic() - begun


def all_taken(url: str) -> bool:
    checks = requests.get(f"{url}/health?details", timeout=30).json()["checks"]
    numbers = next((each["numbers"] for each in checks if each["name"] == "events"), None)
    return numbers is not None and (numbers["events"], numbers["waiting"]) == (THUMBNAILS, 0)


def told(name: str, seconds: list[float]) -> None:
    seconds = sorted(seconds)
    logger.info(
        "/health %s: half within %.1f ms, 99 of 100 within %.1f ms, longest %.1f ms", name,
        1e3 * seconds[len(seconds) // 2], 1e3 * seconds[len(seconds) * 99 // 100],
        1e3 * seconds[-1],
    )  # fmt: skip


def test_slow_thumbnails_and_clicks_hold_nothing_else_up(tmp_path: Path, host: SlowHost) -> None:
    settings = {
        "data_dir": tmp_path, "qa_sync_minutes": 0, "allowed_hosts": "localhost",
        "media_timeout": 100, "predict_budget": 100,
    }  # fmt: skip
    process = BackendProcess(settings)
    try:
        process.wait()
        for number in range(1, THUMBNAILS + 1):
            made = annotation(number, [box(1, 1, 20, 20)], task=number)
            event = created(made, **host.task(number)["data"])
            event["project"] |= {"label_config": CONFIG}
            assert requests.post(f"{process.url}/webhook", json=event, timeout=30).ok
        wait_for(lambda: all_taken(process.url), seconds=60)
        time.sleep(2)
        told("alone", [health(process.url) for _ in range(ASKED)])
        with ThreadPoolExecutor(THUMBNAILS + CLICKS) as pool:
            asked = [
                pool.submit(thumbnail, process.url, number) for number in range(1, THUMBNAILS + 1)
            ] + [
                pool.submit(click, process.url, host.task(100 + number)) for number in range(CLICKS)
            ]
            wait_for(lambda: host.waiting >= 4, seconds=60)
            told("meanwhile", [health(process.url) for _ in range(ASKED)])
            assert requests.get(f"{process.url}/qa/summary.json", timeout=30).ok
            event = created(annotation(99, [box(1, 1, 20, 20)], task=99))
            assert requests.post(f"{process.url}/webhook", json=event, timeout=30).ok
            # All of that was answered while every one of the slow ones waited.
            assert not any(each.done() for each in asked)
            host.let_go.set()
            codes = [each.result(timeout=100) for each in asked]
        assert codes == [200] * (THUMBNAILS + CLICKS)
    finally:
        process.kill()
