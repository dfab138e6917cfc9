"""What the service's end-to-end tests share."""

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.labeling.ready import ready_config
from tests.e2e.servers import Backend
from tests.fakes import FakeGrounder
from videogem.structures import Clip, Grounding

NARRATION = "cut the tomato"
LONGEST_CALL = 900.0  # seconds; one click for 10,000 tasks takes minutes on a busy machine


class SlowGrounder(FakeGrounder):
    """Takes a while for every frame."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def ground(self, clip: Clip, narrations: Any) -> list[Grounding]:
        time.sleep(self.seconds)
        return super().ground(clip, narrations)


def make_frames(folder: Path, count: int) -> list[Path]:
    """Small pictures, each of its own."""
    random = np.random.default_rng(5)
    paths = []
    for number in range(count):
        path = folder / f"service-{number}.png"
        if not path.exists():
            pixels = random.integers(0, 255, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((64, 48)).save(path)
        paths.append(path)
    return paths


def frame_tasks(folder: Path, frame_url: Callable[[Path], str], count: int) -> list[dict[str, Any]]:
    """Tasks for the ready config 'frame'."""
    paths = make_frames(folder, count)
    return [{"frame": frame_url(path), "narration": NARRATION} for path in paths]


def config(name: str) -> str:
    """One of the ready labeling configs."""
    return ready_config(name)


@contextmanager
def refused(status: int) -> Iterator[list[str]]:
    """Wants a request within to be refused; takes what the answer says once it is."""
    said: list[str] = []
    with pytest.raises(urllib.error.HTTPError) as caught:
        yield said
    with caught.value as answer:  # else its connection stays open
        assert answer.code == status
        said.append(answer.read().decode())


def call(url: str, token: str, method: str = "GET", body: Any = None) -> Any:
    """One call of Label Studio's REST API."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Token {token}"}
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=LONGEST_CALL) as response:
        text = response.read()
    return json.loads(text) if text else None


def predictions(server: Any, project: int) -> list[dict[str, Any]]:
    """All predictions of a project."""
    url = f"{server.url}/api/predictions/?project={project}"
    found: list[dict[str, Any]] = call(url, server.credentials.token)
    return found


def task_ids(server: Any, project: int) -> list[int]:
    """Ids of a project's tasks, in order."""
    url = f"{server.url}/api/tasks/?project={project}&page_size=1000"
    tasks = call(url, server.credentials.token)["tasks"]
    return sorted(task["id"] for task in tasks)


def retrieve(server: Any, project: int) -> None:
    """'Retrieve predictions' for all tasks: one request, whatever their number."""
    call(
        f"{server.url}/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
        server.credentials.token,
        "POST",
        {"selectedItems": {"all": True, "excluded": []}},
    )


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Look twice a second until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.5)


def counts(found: Iterable[dict[str, Any]]) -> Counter[int]:
    """How many predictions each task has."""
    return Counter(prediction["task"] for prediction in found)


def jobs(backend: Backend, project: int) -> dict[str, Any]:
    """The project's row of /jobs."""
    with urllib.request.urlopen(f"{backend.url}/jobs?project={project}", timeout=30) as response:
        rows = json.load(response)["projects"]
    return rows[0] if rows else {}
