"""/health?details: every part's state in words, and nobody waits for it."""

import errno
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.database.engine import DatabaseBusyError, patience, writer_lock
from backend.database.keys import ProjectKey
from backend.label_studio import client
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.prediction.model import BackgroundModel
from backend.settings import Settings
from backend.web import checks, states
from backend.web.app import create_app
from backend.web.service import Service
from tests.backend.prediction.test_batch import CONFIG, TOKEN, make_tasks, wait_for
from tests.backend.qa.test_spool import locked_by_another
from tests.fakes import FakeGrounder
from tests.http_server import Answer, http_server
from tests.qa_events import annotation, created
from videogem.errors import InputError


@pytest.fixture(autouse=True)
def _no_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states.States, "start", lambda self: None)


def start(folder: Path, **options: Any) -> Any:
    return create_app(Settings(data_dir=folder, qa_sync_minutes=0, **options), FakeGrounder())


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    app = start(tmp_path)
    yield app
    parts(app).close()


def parts(app: Any) -> Service:
    service: Service = app.extensions["videogem"]
    return service


def details(app: Any) -> dict[str, dict[str, Any]]:
    """The checks by their names, after a look."""
    parts(app).states.look()
    found = app.test_client().get("/health?details").json
    assert found["status"] == "UP"
    return {check["name"]: check for check in found["checks"]}


def test_all_parts_are_told_and_plain_health_stays_as_it_was(app: Any) -> None:
    checks = details(app)
    assert checks.keys() >= {"data folder", "database", "spool", "job list", "events", "model"}
    # How much room the disk of this machine has is not ours to say.
    levels = {check["level"] for name, check in checks.items() if name != "data folder"}
    assert levels == {"ok"}
    plain = app.test_client().get("/health").json
    assert plain.keys() == {
        "status", "model_class", "model_version", "model_state", "model_error", "version",
    }  # fmt: skip


def test_details_need_the_password_and_plain_health_does_not(tmp_path: Path) -> None:
    app = start(tmp_path, basic_auth_user="u", basic_auth_password="p")
    asking = app.test_client()
    for path in ("/health?details", "/?details=1"):
        assert asking.get(path).status_code == 401
        assert asking.get(path, auth=("u", "p")).json["checks"]
    assert asking.get("/health").status_code == 200
    parts(app).close()


def test_a_locked_database_and_what_waits_for_it(app: Any, tmp_path: Path) -> None:
    with locked_by_another(tmp_path / "quality.sqlite3"):
        for number in range(3):
            parts(app).store.append_event(created(annotation(1 + number, [])))
        checks = details(app)
        assert "locked" in checks["database"]["found"]
        assert checks["database"]["level"] == "warning"
        assert checks["spool"]["numbers"]["entries"] == 3
        assert "3 events" in checks["spool"]["found"]
    wait_for(lambda: details(app)["spool"]["numbers"]["entries"] == 0, seconds=120)
    wait_for(lambda: details(app)["database"]["level"] == "ok", seconds=120)
    assert details(app)["events"]["numbers"]["events"] == 3


def test_a_database_that_this_backend_writes_itself_is_well(app: Any) -> None:
    """A long write, such as a project's first sync, is no reason to look for another program."""
    with parts(app).store.write():
        seen = details(app)["database"]
        assert seen["found"].endswith(", being written")
        assert seen["level"] == "ok"
    assert not details(app)["database"]["found"].endswith(", being written")


def test_a_writer_that_waits_for_another_program_is_no_write(app: Any, tmp_path: Path) -> None:
    engine = parts(app).store.engine

    def write() -> None:
        with parts(app).store.write():
            pass

    def is_waiting() -> bool:
        try:
            with patience(0), writer_lock(engine):
                return False
        except DatabaseBusyError:
            return True

    writer = threading.Thread(target=write)
    with locked_by_another(tmp_path / "quality.sqlite3"):
        writer.start()
        wait_for(is_waiting)
        seen = details(app)["database"]
        assert seen["level"] == "warning"
        assert "locked" in seen["found"]
    writer.join()


def test_nobody_waits_for_a_look_that_hangs(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    release, looking = threading.Event(), threading.Event()

    def hang(engine: Any) -> Any:
        looking.set()
        release.wait(60)
        raise InputError("late")

    def look() -> None:
        with suppress(InputError):
            parts(app).states.look()

    monkeypatch.setattr(states, "database", hang)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    assert looking.wait(30)
    answer = app.test_client().get("/health?details")
    assert answer.status_code == 200
    assert answer.json["looked_seconds_ago"] is None
    assert thread.is_alive()
    release.set()
    thread.join(30)


def test_the_thread_looks_by_itself_and_outlives_a_stumble(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = parts(app).states
    monkeypatch.setattr(states, "LOOK_S", 0.01)
    calls = []

    def look() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("stumbled")

    monkeypatch.setattr(own, "look", look)
    own._thread.start()
    wait_for(lambda: len(calls) > 3, seconds=120)
    own.close()
    own._thread.join(10)
    assert not own._thread.is_alive()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_cannot_be_written(
    app: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*given: Any, **options: Any) -> Any:
        raise OSError(number, "no")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    check = details(app)["data folder"]
    assert (check["level"], "VIDEOGEM_DATA_DIR" in check["fix"]) == ("failure", True)


def test_little_disk_space_is_told(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LOW_DISK", 2**62)
    assert details(app)["data folder"]["level"] == "warning"


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (Answer({}), "ok", "answered"),
        (Answer({}, 404), "ok", "answered"),
        (Answer({}, 500), "failure", "problem of its own"),
        (Answer({}, 401), "failure", "refused the token"),
        (None, "failure", "cannot be reached"),
    ],
)
def test_label_studio_as_it_was_last_seen(answer: Answer | None, level: str, words: str) -> None:
    with http_server() as server:
        server.fallback = lambda request: answer or Answer({})
        url = server.url if answer else "http://127.0.0.1:9"
        label_studio = LabelStudio(url, SecretStr("t" * 40))
        assert checks.label_studio("x", label_studio).found == "not called yet"
        with suppress(LabelStudioError):
            label_studio.call("GET", "/api/x")
        label_studio.seen = replace(label_studio.seen, took=0.1)  # whatever this machine does
        check = checks.label_studio("x", label_studio)
    assert (check.level, words in check.found) == (level, True)
    if answer is None:
        assert ". (" not in check.found
        assert "VIDEOGEM_LABEL_STUDIO_URL" not in check.found  # the fix says what to do


def test_a_slow_label_studio_is_told() -> None:
    label_studio = LabelStudio("http://127.0.0.1:9", None)
    label_studio.seen = client.Seen(time.monotonic(), 7.5)
    check = checks.label_studio("x", label_studio)
    assert (check.level, "7.5 s" in check.found) == ("warning", True)


def test_a_clock_that_goes_back_makes_no_answer_young(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server() as server:
        server.fallback = lambda request: Answer({})
        app = start(tmp_path, label_studio_url=server.url, label_studio_api_key=TOKEN)
        [label_studio] = parts(app).connections.servers().values()
        label_studio.call("GET", "/api/x")
        real, passed = time.time, time.monotonic
        monkeypatch.setattr(time, "time", lambda: real() - 365 * 86400)
        monkeypatch.setattr(time, "monotonic", lambda: passed() + 100)
        assert "(100 s ago)" in checks.label_studio("x", label_studio).found
        before = len(server.requests)
        parts(app).states._ask()
        assert len(server.requests) > before
        monkeypatch.undo()
        parts(app).close()


def test_a_configured_label_studio_is_asked_where_nobody_else_does(tmp_path: Path) -> None:
    with http_server() as server:
        server.fallback = lambda request: Answer({}, 500)
        app = start(tmp_path, label_studio_url=server.url, label_studio_api_key=TOKEN)
        for _ in range(3):
            parts(app).states._ask()
        asked = [request.path for request in server.requests]
        assert asked.count("/api/current-user/whoami") <= 1  # names of people may have been first
        assert asked
        assert {*asked} <= {"/api/current-user/whoami", "/api/users/"}
        [found] = [c for name, c in details(app).items() if name.startswith("Label Studio")]
        assert found["level"] == "failure"
        parts(app).close()


def test_the_job_list_and_the_webhooks(app: Any) -> None:
    key = ProjectKey("http://ls.example", 4)
    jobs = parts(app).jobs
    parts(app).runner.stop()
    jobs.enqueue(key, CONFIG, "v", make_tasks(3))
    [one] = jobs.claim(1)
    jobs.fail([(one, "no such file")])
    parts(app).webhooks.states.note(key, "failed", "none leads here")
    checks = details(app)
    numbers = checks["job list"]["numbers"]
    assert (numbers["queued"], numbers["failed"]) == (2, 1)
    assert numbers["oldest_seconds"] >= 0
    assert checks["job list"]["level"] == "warning"
    assert "none leads here" in checks["project 4: webhook"]["found"]
    assert app.test_client().get("/health?details").json["level"] != "ok"


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    def load() -> FakeGrounder:
        raise InputError("There are no weights.")

    app = create_app(Settings(data_dir=tmp_path), BackgroundModel("v", load))
    wait_for(lambda: details(app)["model"]["level"] == "failure", seconds=120)
    assert "no weights" in details(app)["model"]["found"]
    parts(app).close()
