"""PostgreSQL stopped, or frozen, under a running backend: told at once, and nothing is lost."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import is_outage, open_engine
from backend.qa.store import Store
from backend.web.checks import database
from tests.backend.prediction.test_batch import CONFIG, TOKEN, make_tasks, wait_for
from tests.backend.web.test_killed import Sender
from tests.fake_backend import BackendProcess
from tests.fake_label_studio import fake_label_studio
from tests.postgres import MISSING, Postgres, postgres_server, server_program

logger = logging.getLogger(__name__)
TASKS = 120
LONGEST_S = 20.0  # for any answer: the first that finds a frozen server has to wait for it
PAGES = ("/health", "/health?details", "/qa", "/jobs", "/qa/summary.json", "/metrics")


@pytest.fixture(autouse=True)
def _pages_show_what_came() -> None:
    """In place of the other tests' fixture: how long pages wait is tried here."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if server_program("initdb") is None:
        pytest.skip(MISSING)
    with postgres_server() as started:
        yield started


@pytest.fixture
def url(server: Postgres, request: pytest.FixtureRequest) -> str:
    """A database of its own."""
    name = f"test{abs(hash(request.node.name))}"
    engine = open_engine(server.url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.url.removesuffix("postgres") + name


class Asker:
    """Asks a backend, and keeps how long the longest answer took."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.longest: dict[str, float] = {}

    def ask(self, path: str, body: Any = None) -> requests.Response:
        begun = time.monotonic()
        method = "GET" if body is None else "POST"
        answer = requests.request(method, self.url + path, json=body, timeout=60)
        took = time.monotonic() - begun
        self.longest[path] = max(took, self.longest.get(path, 0.0))
        return answer

    def details(self) -> dict[str, Any]:
        return {each["name"]: each for each in self.ask("/health?details").json()["checks"]}


@pytest.mark.parametrize("state", ["stopped", "frozen"])
def test_a_postgresql_that_goes_and_comes_back(
    server: Postgres, url: str, tmp_path: Path, state: str
) -> None:
    with fake_label_studio(CONFIG, make_tasks(TASKS)) as label_studio:
        given = {"label_studio_url": label_studio.url, "label_studio_api_key": TOKEN}
        settings = {"data_dir": tmp_path, "qa_sync_minutes": 0, "database_url": url, **given}
        process = BackendProcess(settings, seconds=0.05)
        try:
            process.wait()
            sender, asker = Sender(process.url), Asker(process.url)
            body = {"project": "1.5", "tasks": label_studio.tasks, "label_config": CONFIG}
            assert asker.ask("/predict", body).status_code == 200
            wait_for(lambda: len(sender.acknowledged) > 50, seconds=60)
            with getattr(server, state)():
                check_outage(asker, sender, body)
                logger.info("%s: longest answers %s", state, asker.longest)
            wait_for(lambda: len(label_studio.predictions) == TASKS, seconds=120)
            wait_for(lambda: asker.details()["database"]["level"] == "ok", seconds=60)
            wait_for(lambda: asker.details()["spool"]["numbers"]["entries"] == 0, seconds=60)
            sender.stop()
        finally:
            process.kill()
    assert set(label_studio.count().values()) == {1}
    assert sender.refused == []
    with closing(Store(url, tmp_path / "spool")) as store:
        wait_for(lambda: not store.spool.num_entries(), seconds=120)
        wait_for(lambda: not store.inbox_counts()["waiting"], seconds=120)
        kept = {row["id"] for row in store.rows(schema.annotations)}
        assert store.inbox_counts()["failed"] == 0
    assert sender.acknowledged - kept == set()


def check_outage(asker: Asker, sender: Sender, body: dict[str, Any]) -> None:
    """Every answer is whole or says what is wrong, in bounded time, also when asked again."""
    before = len(sender.acknowledged)
    wait_for(lambda: asker.details()["database"]["level"] == "failure", seconds=60)
    for _ in range(2):
        for page in PAGES:
            answer = asker.ask(page)
            assert answer.status_code == 200 or (
                answer.status_code == 503 and "database cannot be used" in answer.json()["error"]
            ), (page, answer.text)
        few = {**body, "tasks": body["tasks"][:3]}
        assert all("result" in each for each in asker.ask("/predict", few).json()["results"])
        setup = {"project": "1.5", "schema": CONFIG, "hostname": "http://localhost:8080"}
        assert asker.ask("/setup", setup).json() == {"model_version": "fake-1"}
    wait_for(lambda: len(sender.acknowledged) > before + 50, seconds=60)
    assert asker.details()["spool"]["numbers"]["entries"] > 0
    assert max(asker.longest.values()) < LONGEST_S


def test_a_long_write_of_a_backend_is_no_reason_to_look_for_another_program(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store(url, tmp_path / "one")) as one, closing(Store(url, tmp_path / "two")) as two:
        with one.write():
            for engine in one.engine, two.engine:
                seen = database(engine)
                assert seen.level == "ok"
                assert seen.found.endswith(", being written")
            monkeypatch.setattr("backend.database.engine.LONGEST_WRITE_S", 0.0)
            assert database(two.engine).level == "warning"  # for too long: it may be frozen
        assert not database(two.engine).found.endswith(", being written")


def test_a_long_statement_of_a_server_that_answers_is_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.database.engine.SILENCE_S", 0.1)
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 7 FROM pg_sleep(1.5)")).scalar() == 7
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; COMMIT; CREATE TABLE t (n int)",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full'; END $$",
    ],
)
def test_what_the_server_cannot_do_now_is_no_fault_of_the_event(url: str, statement: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection, pytest.raises(sa.exc.SQLAlchemyError) as error:
        connection.exec_driver_sql(statement)
    engine.dispose()
    assert is_outage(error.value)


def test_what_no_server_takes_is_the_event_s_own(url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection, pytest.raises(sa.exc.SQLAlchemyError) as error:
        connection.execute(sa.text("SELECT 1 / 0"))
    engine.dispose()
    assert not is_outage(error.value)


def test_a_server_that_is_not_there_is_an_outage() -> None:
    engine = open_engine("postgresql://me@127.0.0.1:9/none")
    with pytest.raises(sa.exc.OperationalError) as error:
        engine.connect()
    assert is_outage(error.value)
