"""Label Studio away, failing or restarting while predictions are due: told, each delivered once."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.label_studio.client import LabelStudio
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.states import States
from tests.backend.prediction.test_batch import CONFIG, TOKEN, make_tasks, wait_for
from tests.fake_label_studio import FakeLabelStudio
from tests.fakes import FakeGrounder
from tests.http_server import Answer, Request, http_server

TASKS = 40  # more than one answer holds: the rest are delivered
IMPORT = "/api/projects/1/import/predictions"


class Restartable:
    """A Label Studio that can be taken away and comes back at the same address, with its data."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._saving: list[threading.Timer] = []
        self.fake = FakeLabelStudio(
            self._running.enter_context(http_server()), CONFIG, make_tasks(TASKS)
        )

    @contextmanager
    def stopped(self) -> Iterator[None]:
        port, routes = self.fake.server.port, self.fake.server.routes
        self._running.close()
        yield
        self.fake.server = self._running.enter_context(http_server(port))
        self.fake.server.routes |= routes

    @contextmanager
    def failing(self, answer: Answer) -> Iterator[None]:
        """Every call gets this answer."""
        routes = dict(self.fake.server.routes)

        def refuse(_request: Request) -> Answer:
            return answer

        self.fake.server.routes.clear()
        self.fake.server.fallback = refuse
        yield
        self.fake.server.fallback = None
        self.fake.server.routes |= routes

    @contextmanager
    def without_answer(self) -> Iterator[None]:
        """It saves what it gets, and is killed before it has said so."""
        plain = self.fake.server.routes[IMPORT]

        def lost(request: Request) -> Answer:
            plain(request)
            return Answer(b"", headers={"Content-Length": "100"})

        self.fake.server.routes[IMPORT] = lost
        yield
        self.fake.server.routes[IMPORT] = plain

    @contextmanager
    def behind_an_impatient_proxy(self) -> Iterator[None]:
        """It goes on saving what a proxy has given up waiting for."""
        plain = self.fake.server.routes[IMPORT]

        def given_up(request: Request) -> Answer:
            saving = threading.Timer(2.0, plain, (request,))
            saving.start()
            self._saving.append(saving)
            return Answer(b"<html>Gateway Time-out</html>", 504)

        self.fake.server.routes[IMPORT] = given_up
        yield
        wait_for(lambda: bool(self._saving), seconds=60)
        self.fake.server.routes[IMPORT] = plain

    def count(self) -> dict[int, int]:
        """How many predictions each task has when all is saved."""
        for saving in self._saving:
            saving.join()
        return self.fake.count()

    def close(self) -> None:
        self._running.close()


@pytest.fixture
def label_studio() -> Iterator[Restartable]:
    made = Restartable()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        (lambda it: it.stopped(), "cannot be reached"),
        (lambda it: it.failing(Answer({}, 500)), "problem of its own"),
        (lambda it: it.failing(Answer(b"<html>starting</html>", 503)), "problem of its own"),
        (lambda it: it.without_answer(), ""),
        (lambda it: it.behind_an_impatient_proxy(), ""),
    ],
    ids=["restarting", "500", "503 of a proxy", "killed while it saves", "504 while it saves"],
)
def test_predictions_of_an_outage_are_delivered_once(
    label_studio: Restartable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outage: Any,
    words: str,
) -> None:
    monkeypatch.setattr(States, "start", lambda self: None)  # looks when it is asked to
    monkeypatch.setattr("backend.prediction.outbox.RETRY_DELAYS", (0.2,))
    monkeypatch.setattr("backend.prediction.outbox.SENDING", 3.0)
    fake = label_studio.fake
    settings = Settings(
        data_dir=tmp_path,
        qa_sync_minutes=0,
        label_studio_url=fake.url,
        label_studio_api_key=TOKEN,
    )
    app = create_app(settings, FakeGrounder())
    parts = app.extensions["videogem"]
    try:
        body = {"project": "1.5", "tasks": fake.tasks, "label_config": CONFIG}
        with outage(label_studio):
            assert app.test_client().post("/predict", json=body).status_code == 200
            wait_for(lambda: all_predicted(parts), seconds=60)
            seen = seen_of(parts)
            wait_for(lambda: seen_of(parts) is not seen, seconds=60)  # it was tried
            told = parts.states.as_json()["checks"]
            [check] = [each for each in told if each["name"].startswith("Label Studio")]
            assert words in check["found"]
            assert check["level"] == ("failure" if words else check["level"])
        wait_for(lambda: len(fake.predictions) >= TASKS, seconds=60)
        wait_for(lambda: counts(parts).get("done", 0) == TASKS, seconds=60)
    finally:
        parts.close()
    assert set(label_studio.count().values()) == {1}


def counts(parts: Any) -> dict[str, int]:
    [found] = parts.jobs.counts().values() or [{}]
    return dict(found)


def all_predicted(parts: Any) -> bool:
    """Whether nothing waits for its prediction any more."""
    found = counts(parts)
    return found.get("queued", 0) + found.get("running", 0) == 0


def seen_of(parts: Any) -> Any:
    """How the server was last seen."""
    [server] = parts.connections.servers().values()
    assert isinstance(server, LabelStudio)
    return server.seen
