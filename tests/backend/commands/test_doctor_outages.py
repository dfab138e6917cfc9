"""`videogem doctor` in each outage of docs/reliability.md: one sentence, its fix, the exit code."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.prediction.model import BackgroundModel
from backend.qa.store import Store
from backend.web import checks
from tests.backend.commands.conftest import Done, Run
from tests.backend.web.test_outages import small_disk
from tests.fakes import FakeGrounder
from tests.healthy_label_studio import BACKEND, healthy_label_studio
from tests.http_server import Answer, Server
from tests.postgres import MISSING, Postgres, postgres_server, server_program
from videogem.errors import InputError

LONGEST_S = 30.0  # for all checks, whatever is frozen


class World:
    """A data folder, a store, and a Label Studio where all is well."""

    def __init__(self, folder: Path, server: Server, environ: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.server = server
        self.set = lambda name, value: environ.setenv(f"VIDEOGEM_{name}", value)
        self.patch = environ.setattr
        self.set("DATA_DIR", str(folder))
        self.set("LABEL_STUDIO_URL", server.url)
        self.set("LABEL_STUDIO_API_KEY", "t" * 40)
        self.model(BackgroundModel.of(FakeGrounder()))

    def model(self, model: BackgroundModel) -> None:
        self.patch("backend.web.app.configured_model", lambda _: model)

    @property
    def database(self) -> Path:
        return self.folder / "quality.sqlite3"

    def answers(self, path: str, answer: Any, status: int = 200) -> None:
        self.server.routes[path] = lambda _: Answer(answer, status)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "state"
    folder.mkdir()
    with healthy_label_studio() as server:
        made = World(folder, server, monkeypatch)
        Store(f"sqlite:///{made.database}").close()
        yield made


@contextmanager
def locked(world: World) -> Iterator[None]:
    with closing(sqlite3.connect(world.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def no_database(world: World) -> Iterator[None]:
    world.set("DATABASE_URL", "postgresql://videogem:s3cret@127.0.0.1:9/videogem")
    yield


@contextmanager
def broken_database(world: World) -> Iterator[None]:
    world.database.write_bytes(b"no database " * 1000)
    yield


@contextmanager
def read_only(world: World) -> Iterator[None]:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise OSError(30, "Read-only file system")

    world.patch("tempfile.TemporaryFile", refuse)
    yield


@contextmanager
def full_disk(world: World) -> Iterator[None]:
    folder = world.folder / "small"
    folder.mkdir()
    with small_disk(folder):
        with (folder / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
            while filler.write(bytes(65536)):
                pass
        world.set("DATABASE_URL", f"sqlite:///{world.database}")
        world.set("DATA_DIR", str(folder))
        yield


@contextmanager
def down(world: World) -> Iterator[None]:
    world.set("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    yield


@contextmanager
def slow(world: World) -> Iterator[None]:
    world.patch(checks, "SLOW_S", 0.2)
    real = world.server.routes["/api/version"]

    def late(request: Any) -> Answer:
        time.sleep(0.4)
        return real(request)

    world.server.routes["/api/version"] = late
    yield


def failing(path: str) -> Callable[[World], Any]:
    """Label Studio answers 500 there, and well elsewhere."""

    @contextmanager
    def outage(world: World) -> Iterator[None]:
        world.answers(path, {"detail": "Traceback (most recent call last)"}, 500)
        yield

    return outage


@contextmanager
def no_webhook(world: World) -> Iterator[None]:
    world.answers("/api/webhooks/", [])
    yield


@contextmanager
def inactive_webhook(world: World) -> Iterator[None]:
    hook = {"id": 1, "url": f"{BACKEND}/webhook", "headers": {}, "send_payload": True}
    world.answers("/api/webhooks/", [{**hook, "is_active": False}])
    yield


@contextmanager
def failed_model(world: World) -> Iterator[None]:
    def load() -> Any:
        raise InputError("The weights file 'x.pt' is cut off; fetch it again.")

    world.model(BackgroundModel("x", load))
    yield


OUTAGES = {
    "database locked": (locked, 0, r"warning  database: .*cannot be written now: .*locked"),
    "database gone": (no_database, 1, r"FAILURE  database: .*cannot be read: .*refused"),
    "database broken": (broken_database, 1, r"FAILURE  database: .*not a database"),
    "read-only folder": (read_only, 1, r"FAILURE  data folder: .*Read-only file system"),
    "disk full": (full_disk, 1, r"FAILURE  data folder: .*No space left"),
    "Label Studio down": (down, 1, r"FAILURE  Label Studio: .*cannot be reached"),
    "Label Studio slow": (slow, 0, r"warning  Label Studio: .* is slow: an answer took 0\.\d s"),
    "500 of all": (failing("/api/version"), 1, r"FAILURE  Label Studio: .*500"),
    "500 of the user": (failing("/api/current-user/whoami"), 1, r"FAILURE  token: .*500"),
    "500 of the list": (failing("/api/projects/"), 1, r"FAILURE  projects: .*500"),
    "500 of the project": (failing("/api/projects/1/"), 1, r"FAILURE  project 1: .*500"),
    "500 of its models": (failing("/api/ml/"), 1, r"FAILURE  projects: .*500"),
    "500 of its model": (failing("/api/ml/2"), 1, r"FAILURE  project 1: backend: .*500"),
    "500 of its webhooks": (failing("/api/webhooks/"), 1, r"FAILURE  project 1: webhook: .*500"),
    "500 of its tasks": (failing("/api/tasks/"), 1, r"FAILURE  project 1: tasks: .*500"),
    "webhook missing": (no_webhook, 1, r"FAILURE  project 1: webhook: there is none"),
    "webhook inactive": (inactive_webhook, 1, r"FAILURE  project 1: webhook: .*(off|active)"),
    "model failed": (failed_model, 1, r"FAILURE  weights: .*cut off"),
}


def examined(run: Run) -> Done:
    begun = time.monotonic()
    done = run("doctor")
    assert time.monotonic() - begun < LONGEST_S
    assert done.err == ""
    assert "Traceback" not in done.out
    return done


def wrong(done: Done) -> list[str]:
    return [line for line in done.out.splitlines() if line.startswith(("FAILURE", "warning"))]


def test_all_is_well(world: World, run: Run) -> None:
    done = examined(run)
    assert (done.code, wrong(done)) == (0, [])
    assert len(done.out.splitlines()) == 10


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_is_one_sentence(world: World, run: Run, outage: str) -> None:
    breaks, code, words = OUTAGES[outage]
    with breaks(world):
        done = examined(run)
    [line] = wrong(done)
    assert re.match(words, line)
    lines = done.out.splitlines()
    fix = lines[lines.index(line) + 1]
    assert re.match(r" {9}\S", fix) or "fetch it again" in line  # what to do, there or within
    assert "s3cret" not in done.out
    assert done.code == code


STRANGE = (None, [], {}, "text", 7, [[]], [{}], [{"id": "x"}], {"results": 7}, {"results": [{}]},
           {"tasks": [{"id": 1}], "total": 1}, {"label_config": 7}, {"url": 7, "state": "CO"},
           {"url": "http://[", "state": "CO"}, {"results": []})  # fmt: skip


@pytest.mark.parametrize("answer", STRANGE, ids=repr)
def test_a_label_studio_that_answers_nonsense_is_told(world: World, run: Run, answer: Any) -> None:
    for path in list(world.server.routes):
        healthy = world.server.routes[path]
        world.answers(path, json.dumps(answer).encode())
        done = examined(run)
        assert done.code in (0, 1)
        assert (done.code == 1) == any(line.startswith("FAILURE") for line in wrong(done))
        world.server.routes[path] = healthy


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if server_program("initdb") is None:
        pytest.skip(MISSING)
    with postgres_server() as server:
        yield server


@pytest.mark.parametrize("state", ["stopped", "frozen"])
def test_a_postgresql_that_does_not_answer(
    world: World, run: Run, postgres: Postgres, state: str
) -> None:
    Store(postgres.url).close()
    world.set("DATABASE_URL", postgres.url)
    assert wrong(examined(run)) == []
    with ExitStack() as stack:
        stack.enter_context(postgres.stopped() if state == "stopped" else postgres.frozen())
        done = examined(run)
    [line] = wrong(done)
    assert line.startswith("FAILURE  database:")
    assert done.code == 1
