"""Webhooks are found wrong or missing, put right, and told about."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.database.engine import migrate, open_engine
from backend.database.keys import ProjectKey
from backend.database.webhook_states import WebhookStates
from backend.label_studio import webhooks
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.webhooks import WebhookKeeper
from tests.fake_webhooks import BACKEND, FakeWebhooks, hook
from tests.http_server import Answer, Request, Server, http_server
from tests.no_threads import no_threads

HOST = "backend.local:9090"
PASSWORD = "Basic abc"
NEEDED = sorted(webhooks.NEEDED)


@pytest.fixture
def server() -> Iterator[Server]:
    with http_server() as server:
        yield server


def wait_for(come: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end
        time.sleep(0.02)


def client(server: Server) -> LabelStudio:
    return LabelStudio(server.url, SecretStr("t" * 40))


def key(server: Server, number: int = 1) -> ProjectKey:
    return client(server).key(number)


def keeper(server: Server, authorization: str | None = None) -> WebhookKeeper:
    found = WebhookKeeper(authorization)
    found.states.heard(key(server), HOST)
    return found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"is_active": False}, "switched off"),
        ({"send_payload": False}, "no payload"),
        ({"send_for_all_actions": False, "actions": ["TASKS_CREATED"]}, "not report all"),
        ({"headers": {"X": "1"}}, "password"),
    ],
)
def test_a_webhook_that_brings_nothing_is_put_right(
    server: Server, wrong: dict[str, Any], words: str
) -> None:
    fake = FakeWebhooks(server, hook(3, **{"headers": {"Authorization": PASSWORD}, **wrong}))
    keep = keeper(server, PASSWORD)
    state = keep.look(key(server), client(server))
    assert (state.state, words in state.words) == ("mended", True)
    assert webhooks.problems(fake.hooks[3], PASSWORD) == []
    assert len(fake.changes) == 1
    keep.look(key(server), client(server))
    assert len(fake.changes) == 1  # nothing is left to do


def test_everything_else_about_a_webhook_stays(server: Server) -> None:
    before = hook(3, headers={"X": "1"}, send_for_all_actions=False, actions=NEEDED)
    fake = FakeWebhooks(server, before, hook(4, url="http://elsewhere/webhook"))
    keeper(server, PASSWORD).look(key(server), client(server))
    assert fake.hooks[3] == {**before, "headers": {"X": "1", "Authorization": PASSWORD}}
    assert len(fake.changes) == 1


def test_a_webhook_that_is_right_is_left_alone(server: Server) -> None:
    fake = FakeWebhooks(server, hook(3), hook(4, is_active=False))
    assert keeper(server).look(key(server), client(server)).state == "ok"
    assert fake.changes == []


def test_a_missing_one_is_made_where_label_studio_lists_the_backend(server: Server) -> None:
    fake = FakeWebhooks(server)
    fake.models[0]["url"] = f"http://{HOST}/below/"
    fake.models.insert(0, {"id": 1, "url": "http://other:1"})
    keep = keeper(server, PASSWORD)
    assert keep.look(key(server), client(server)).state == "mended"
    [made] = fake.hooks.values()
    assert made["url"] == f"http://{HOST}/below/webhook"
    assert (made["project"], made["headers"]) == (1, {"Authorization": PASSWORD})
    assert webhooks.problems(made, PASSWORD) == []


def test_one_that_points_elsewhere_is_named_and_left_and_ours_is_made(server: Server) -> None:
    other = hook(4, url="http://u:secret@elsewhere:9090/webhook")
    fake = FakeWebhooks(server, other)
    state = keeper(server).look(key(server), client(server))
    assert "http://elsewhere:9090/webhook" in state.words
    assert "secret" not in state.words
    assert fake.hooks[4] == other
    assert fake.hooks[5]["url"] == f"{BACKEND}/webhook"


def test_no_webhook_is_made_for_a_backend_that_is_not_connected(server: Server) -> None:
    fake = FakeWebhooks(server)
    fake.models[0]["url"] = "http://other:1"
    state = keeper(server).look(key(server), client(server))
    assert (state.state, "http://other:1" in state.words) == ("failed", True)
    assert fake.changes == []


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [("http://backend:9090", 400, "without a dot"), (BACKEND, 403, "SSRF_PROTECTION_ENABLED")],
)
def test_what_label_studio_refuses_is_told_with_its_fix(
    server: Server, url: str, status: int, words: str
) -> None:
    fake = FakeWebhooks(server)
    fake.models[0]["url"], fake.refuses = url, status
    keep = keeper(server)
    keep.states.heard(key(server), url.removeprefix("http://"))
    state = keep.look(key(server), client(server))
    assert (state.state, words in state.words) == ("failed", True)


def test_trouble_is_noted_and_raised(server: Server) -> None:
    server.routes["/api/webhooks/"] = lambda request: Answer({}, 500)
    keep = keeper(server)
    with pytest.raises(LabelStudioError, match="500"):
        keep.look(key(server), client(server))
    assert keep.states.get(key(server)).state == "failed"


def test_two_servers_with_the_same_project_do_not_mix(server: Server) -> None:
    with http_server() as second:
        one, two = FakeWebhooks(server), FakeWebhooks(second, hook(3))
        keep = keeper(server)
        keep.states.heard(key(second), "another.example:9090")
        keep.look(key(server), client(server))
        keep.look(key(second), client(second))
        assert len(one.hooks) == 1
        assert two.changes == []
        states = {name.server: each.state for name, each in keep.states.all().items()}
        assert states == {key(server).server: "mended", key(second).server: "failed"}


def test_what_is_known_outlives_the_process(tmp_path: Path, server: Server) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/qa.db")
    migrate(engine)
    FakeWebhooks(server)
    keep = WebhookKeeper(None, WebhookStates(engine))
    keep.states.heard(key(server), HOST)
    keep.look(key(server), client(server))
    again = WebhookStates(engine).get(key(server))
    assert (again.host, again.state) == (HOST, "mended")
    engine.dispose()


def test_setup_has_a_missing_webhook_made_without_running_in_circles(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "DELAY", 0.05)
    fake = FakeWebhooks(server)
    fake.refuses = 400
    keep = WebhookKeeper(None)

    def list_models(request: Any) -> Answer:
        keep.after_setup(key(server), HOST, client(server))  # Label Studio calls /setup for it
        return Answer(fake.models)

    server.routes["/api/ml/"] = list_models
    keep.after_setup(key(server), HOST, client(server))
    time.sleep(0.8)
    assert sum(request.path == "/api/ml/" for request in server.requests) == 1
    assert len(fake.changes) == 1


def test_many_projects_that_call_setup_take_few_threads_and_little_memory(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody who may call /setup can name projects; Label Studio is slow."""
    monkeypatch.setattr(webhooks, "DELAY", 0.05)
    monkeypatch.setattr(webhooks, "MOST", 50)
    FakeWebhooks(server)
    answered, asked = threading.Event(), server.routes["/api/webhooks/"]

    def slow(request: Request) -> Answer:
        answered.wait(20)
        return asked(request)

    server.routes["/api/webhooks/"] = slow
    keep, label_studio = WebhookKeeper(None), client(server)
    before = {thread.ident for thread in threading.enumerate()}
    for number in range(200):
        keep.after_setup(key(server, number), HOST, label_studio)
    time.sleep(0.3)
    new = [thread for thread in threading.enumerate() if thread.ident not in before]
    ours = [thread for thread in new if "process_request_thread" not in thread.name]
    answered.set()
    assert len(ours) <= webhooks.WORKERS
    assert max(len(kept) for kept in (keep._last, keep._due)) <= 50
    wait_for(lambda: not keep._workers)
    assert not keep._due
    server.requests.clear()
    keep.after_setup(key(server, 999), HOST, label_studio)
    wait_for(lambda: bool(server.requests))  # they are looked at again


def test_words_that_no_database_takes_are_kept_as_others(server: Server, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/qa.db")
    migrate(engine)
    fake = FakeWebhooks(server)
    fake.models = [{"id": 1, "url": "http://\ud800\0elsewhere"}]
    keep = WebhookKeeper(None, WebhookStates(engine))
    keep.states.heard(key(server), HOST)
    assert keep.look(key(server), client(server)).state == "failed"
    keep.states.refresh()
    assert "elsewhere" in WebhookStates(engine).get(key(server)).words
    engine.dispose()


def test_what_another_backend_put_right_is_not_forgotten_by_who_finds_it_right(
    server: Server, tmp_path: Path
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/qa.db")
    migrate(engine)
    FakeWebhooks(server, hook(3, is_active=False))
    one, two = (WebhookKeeper(None, WebhookStates(engine)) for _ in range(2))
    one.states.heard(key(server), HOST)
    two.states.refresh()
    assert one.look(key(server), client(server)).state == "mended"
    assert two.look(key(server), client(server)).state == "mended"
    assert WebhookStates(engine).get(key(server)).state == "mended"
    engine.dispose()


def test_a_model_connected_with_a_password_in_its_address_is_ours_and_never_shown(
    server: Server,
) -> None:
    fake = FakeWebhooks(server)
    fake.models[0]["url"] = f"http://u:secret@{HOST}"
    state = keeper(server, PASSWORD).look(key(server), client(server))
    assert (state.state, "secret" in state.words) == ("mended", False)
    assert [made["url"] for made in fake.hooks.values()] == [f"http://{HOST}/webhook"]


def test_the_password_of_another_model_is_never_shown(server: Server) -> None:
    fake = FakeWebhooks(server)
    fake.models[0]["url"] = "http://u:secret@other:1"
    state = keeper(server).look(key(server), client(server))
    assert (state.state, "http://other:1" in state.words) == ("failed", True)
    assert "secret" not in state.words


def test_advice_about_an_address_leaves_its_password_out() -> None:
    for url in "http://u:secret@backend:9090", "http://u:secret@backend.internal:9090/":
        assert "secret" not in webhooks.why_no_webhook(url)


@pytest.mark.parametrize(
    ("connected", "host"),
    [
        ("http://Backend.Local:9090", "backend.local:9090"),  # as Label Studio's requests name it
        ("http://backend.local:80/", "backend.local"),
        ("https://backend.local:443/gem", "backend.local"),
        ("http://backend.local.:9090", "backend.local.:9090"),
        ("http://k\u00fcche.local:9090", "xn--kche-0ra.local:9090"),
        ("http://[FD00:0::7]:9090", "[fd00:0::7]:9090"),
    ],
)
def test_an_address_is_ours_however_it_is_written(
    server: Server, connected: str, host: str
) -> None:
    fake = FakeWebhooks(server)
    fake.models[0]["url"] = connected
    keep = WebhookKeeper(None)
    keep.states.heard(key(server), host)
    assert keep.look(key(server), client(server)).state == "mended"
    [made] = fake.hooks.values()
    assert made["url"] == f"{connected.rstrip('/')}/webhook"
    assert keep.look(key(server), client(server)).state == "mended"  # of before; nothing is to do
    assert len(fake.changes) == 1


@pytest.mark.parametrize("url", ["", "http://", "nonsense", "http://[", "http://a b"])
def test_what_is_no_address_is_not_ours(server: Server, url: str) -> None:
    FakeWebhooks(server, hook(3, url=url), hook(4, url=f"{url}/webhook"))
    assert webhooks.own_webhooks(client(server), 1, "") == []
    assert webhooks.own_webhooks(client(server), 1, HOST) == []


@pytest.mark.parametrize("models", [3, "x", {"id": 2}, [3], None])
def test_models_in_another_form_are_told(server: Server, models: Any) -> None:
    FakeWebhooks(server)
    server.routes["/api/ml/"] = lambda request: Answer(models)
    with pytest.raises(LabelStudioError, match="form that is not known"):
        keeper(server).look(key(server), client(server))


@pytest.mark.parametrize("odd", [{"headers": ["x"]}, {"headers": "x"}, {"actions": 5}, {"url": 7}])
def test_a_webhook_in_another_form_is_put_right_or_left(server: Server, odd: dict) -> None:
    wrong = hook(3, **{"send_for_all_actions": False, **odd})
    fake = FakeWebhooks(server, wrong)
    assert keeper(server, PASSWORD).look(key(server), client(server)).state == "mended"
    own = [one for one in fake.hooks.values() if one["url"] == f"{BACKEND}/webhook"]
    assert [webhooks.problems(one, PASSWORD) for one in own] == [[]]


def test_webhooks_are_looked_at_after_a_moment_without_threads(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "DELAY", 0.0)
    FakeWebhooks(server)
    keep = WebhookKeeper(None)
    with no_threads("webhooks"):
        for number in range(webhooks.WORKERS + 1):
            keep.after_setup(key(server, number), HOST, client(server))
    assert server.requests == []
    keep.after_setup(key(server), HOST, client(server))
    wait_for(lambda: bool(server.requests))
