"""The real server: /health and /setup answer in time whatever else happens."""

import contextlib
import gc
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from backend import cli
from backend.prediction.model import BackgroundModel
from backend.qa import words
from backend.settings import Settings
from backend.web import serving
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.images import image_url

ROOT = Path(__file__).resolve().parents[3]
# A model that takes 6 s to load (the worker itself takes up to 4 to start listening meanwhile) and
# 2 s for every frame, in Python code that holds the interpreter.
PROGRAM = """
import sys, time
from pathlib import Path
from backend.web import server, serving
from backend.web.app import create_app
from backend.prediction.model import BackgroundModel
from backend.settings import Settings
from tests.fakes import FakeGrounder

def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))

class Slow(FakeGrounder):
    def ground(self, clip, narrations):
        Path(sys.argv[2], "grounding").touch()
        work(2)
        return super().ground(clip, narrations)

def load():
    work(6)
    return Slow()

def create(settings):
    return create_app(settings, BackgroundModel("fake-1", load))

server.STOP_SECONDS = 30.0  # the two seconds are more on a busy machine
settings = Settings(host="127.0.0.1", port=int(sys.argv[1]), data_dir=sys.argv[2])
serving.serve(settings, create)
"""
CONFIG = (
    '<View><Image name="i" value="$i"/><Text name="t" value="$t"/>'
    '<KeyPoint name="k" toName="i"/></View>'
)


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen
    folder: Path

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(600):
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{self.url}/health", timeout=5)
                return
            time.sleep(0.05)
        pytest.fail("the server did not start")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port), str(tmp_path)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            yield Server(f"http://127.0.0.1:{port}", process, tmp_path)
        finally:
            process.terminate()
            process.wait(timeout=30)


def timed_health(url: str) -> tuple[float, str]:
    started = time.monotonic()
    answer = requests.get(f"{url}/health", timeout=5)
    return time.monotonic() - started, answer.json()["model_state"]


def test_health_and_setup_are_quick_while_loading_and_while_predicting(server: Server) -> None:
    url = server.url
    server.wait()
    waits, states = [], {timed_health(url)[1]}
    tasks = [{"id": n, "data": {"i": image_url(), "t": "cut tomato"}} for n in range(2)]
    body = {"project": "1.2", "tasks": tasks, "label_config": CONFIG}
    with ThreadPoolExecutor() as pool:
        prediction = pool.submit(requests.post, f"{url}/predict", json=body, timeout=60)
        while not prediction.done():
            wait, state = timed_health(url)
            waits.append(wait)
            states.add(state)
            started = time.monotonic()
            setup = requests.post(
                f"{url}/setup", json={"project": "1.2", "schema": CONFIG}, timeout=5
            )
            assert setup.json() == {"model_version": "fake-1"}
            assert time.monotonic() - started < 3
            time.sleep(0.1)
        results = json.loads(prediction.result().text)["results"]
    assert [len(item["result"]) for item in results] == [1, 1]
    assert max(waits) < 1
    assert states == {"loading", "ready"}


def test_it_stops_when_told_and_answers_what_is_under_way(server: Server) -> None:
    server.wait()
    body = {"project": "1.2", "tasks": [], "label_config": CONFIG}
    host = server.url.removeprefix("http://")
    half_sent = socket.create_connection(tuple(host.split(":")))
    half_sent.sendall(b"POST /webhook HTTP/1.1\r\n")
    task = {"id": 1, "data": {"i": image_url(), "t": "cut tomato"}}
    with half_sent, ThreadPoolExecutor() as pool:
        while timed_health(server.url)[1] != "ready":
            time.sleep(0.1)
        asked = pool.submit(
            requests.post, f"{server.url}/predict", json=body | {"tasks": [task]}, timeout=60
        )
        while not (server.folder / "grounding").exists():
            assert not asked.done()
            time.sleep(0.05)
        server.process.terminate()
        assert [len(each["result"]) for each in asked.result().json()["results"]] == [1]
        assert server.process.wait(timeout=40) == 0


def test_the_old_choice_of_a_server_is_refused_in_words() -> None:
    result = CliRunner().invoke(cli.app, ["serve", "--server", "gunicorn"])
    assert result.exit_code == 2
    assert "one server now" in result.output


def test_what_is_loaded_is_not_looked_at_again_for_garbage(tmp_path: Path) -> None:
    loaded = threading.Event()

    def load() -> FakeGrounder:
        loaded.wait(60)
        return FakeGrounder()

    words._load_words.cache_clear()
    frozen = gc.get_freeze_count()
    app = create_app(Settings(data_dir=tmp_path), BackgroundModel("fake-1", load))
    thread = threading.Thread(target=serving.keep_collections_short, args=(app,))
    thread.start()
    try:
        thread.join(0.5)
        assert thread.is_alive()
        assert gc.get_freeze_count() == frozen  # what is made while it loads may be garbage
        loaded.set()
        thread.join(60)
        assert gc.get_freeze_count() > frozen + 10_000
        assert words._load_words.cache_info().currsize  # the first event brings none
    finally:
        loaded.set()
        gc.unfreeze()
        app.extensions["videogem"].close()
