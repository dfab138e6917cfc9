"""Whose project is this, and which server is asked for it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.database.engine import migrate, open_engine
from backend.database.keys import ProjectKey
from backend.database.servers import ProjectServers
from backend.database.webhook_states import WebhookStates
from backend.label_studio.connections import Connections
from backend.settings import Settings
from tests.http_server import Answer, Server, http_server
from videogem.errors import InputError

MADE = 1795393766  # Unix time in /setup and /predict
MADE_TEXT = datetime.fromtimestamp(MADE + 0.6, UTC).isoformat()  # the same project in the API
ONE = f"1.{MADE}"


@pytest.fixture
def server() -> Iterator[Server]:
    with http_server() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Server]:
    with http_server() as server:
        yield server


def holds(server: Server, created: str = MADE_TEXT) -> None:
    server.routes["/api/projects/1/"] = lambda _: Answer({"id": 1, "created_at": created})


def configured(server: Server, **more: Any) -> Settings:
    return Settings(label_studio_url=server.url, label_studio_api_key="k", **more)


def test_the_configured_server_is_known_under_the_name_it_gives_itself(server: Server) -> None:
    holds(server)
    connections = Connections(configured(server))
    connections.announce(ONE, "http://ls.docker:8080", "t")
    key = connections.key(ONE)
    assert key == ProjectKey(f"http://localhost:{server.port}", 1)
    assert connections.key({"id": 1, "created_at": MADE_TEXT}) == key
    found = connections.get(key)
    assert found is not None
    assert found.url == server.url


@pytest.mark.parametrize("answer", ["gone", "made at another time"])
def test_a_second_server_with_the_same_ids_is_not_the_configured_one(
    server: Server, answer: str
) -> None:
    if answer != "gone":
        holds(server, "2020-01-01T00:00:00Z")
    connections = Connections(configured(server))
    connections.announce(ONE, "http://elsewhere.example", "t")
    key = connections.key(ONE)
    assert key == ProjectKey("http://elsewhere.example", 1)
    assert connections.get(key) is None


def test_two_configured_servers_each_with_its_key(server: Server, other: Server) -> None:
    holds(server, "2020-01-01T00:00:00Z")
    holds(other)
    connections = Connections(configured(server, more_label_studios=f'{{"{other.url}": "k2"}}'))
    connections.announce(ONE, "http://another.name", "t")
    connections.announce("1.1577836800", "http://ls.docker", "t")
    second, first = connections.key(ONE), connections.key("1.1577836800")
    found = [key and connections.get(key) for key in (first, second)]
    assert [each and each.url for each in found] == [server.url, other.url]
    assert other.requests[-1].headers["authorization"] == "Token k2"


def test_a_person_names_a_project_by_its_number_and_server(server: Server, other: Server) -> None:
    connections = Connections(configured(server, more_label_studios=f'{{"{other.url}": "k2"}}'))
    for named in (server, other):
        key, found = connections.named(f"7@{named.url}/")
        assert key == ProjectKey(f"http://localhost:{named.port}", 7)
        assert found.url == named.url
    with pytest.raises(InputError) as error:
        connections.named("7")
    assert f"7@http://localhost:{server.port}" in str(error.value)
    assert f"7@http://localhost:{other.port}" in str(error.value)
    with pytest.raises(InputError, match=r"elsewhere\.example is not configured"):
        connections.named("7@http://elsewhere.example")


def test_a_number_alone_is_enough_where_its_server_is_known(server: Server, other: Server) -> None:
    assert Connections(configured(server)).named("7")[0].server == f"http://localhost:{server.port}"
    holds(server, "2020-01-01T00:00:00Z")
    holds(other)
    connections = Connections(configured(server, more_label_studios=f'{{"{other.url}": "k2"}}'))
    connections.announce(ONE, "http://another.name", "t")
    key, found = connections.named("1")
    assert (key.server, found.url) == (f"http://localhost:{other.port}", other.url)


def test_a_project_without_a_configured_server_says_what_to_set() -> None:
    with pytest.raises(InputError, match="VIDEOGEM_LABEL_STUDIO_URL"):
        Connections(Settings()).named("7")


def test_a_known_server_is_not_replaced_by_what_setup_says(server: Server, other: Server) -> None:
    connections = Connections(Settings())
    connections.announce(ONE, server.url, "t")
    holds(other)
    for name in (other.url, "http://evil.example"):
        connections.announce(ONE, name, "stolen")
        assert connections.key(ONE) == ProjectKey(f"http://localhost:{server.port}", 1)
        found = connections.get(connections.key(ONE))
        assert found and found.url == f"http://localhost:{server.port}"
    assert other.requests == []


def test_another_token_counts_once_it_has_proved_itself(server: Server) -> None:
    connections = Connections(Settings())
    connections.announce(ONE, server.url, "old")

    def project(request: Any) -> Answer:
        good = request.headers.get("authorization") == "Token new"
        return Answer({"id": 1, "created_at": MADE_TEXT}) if good else Answer({}, 401)

    server.routes["/api/projects/1/"] = project

    def token() -> str:
        found = connections.get(connections.key(ONE))
        assert found is not None
        return found.authorization()["Authorization"]

    connections.announce(ONE, server.url, "of a stranger")
    assert token() == "Token old"
    connections.announce(ONE, server.url, "new")
    assert token() == "Token new"


def test_a_configured_server_claims_what_was_announced_before_under_a_useless_name(
    server: Server, tmp_path: Path
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/q.db")
    migrate(engine)
    Connections(Settings(), ProjectServers(engine)).announce(ONE, "http://ls.docker:8080", "t")
    holds(server)
    connections = Connections(configured(server), ProjectServers(engine))
    connections.announce(ONE, "http://ls.docker:8080", "t")
    assert connections.key(ONE) == ProjectKey(f"http://localhost:{server.port}", 1)
    engine.dispose()


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    for said in (True, False):
        engine = open_engine(f"sqlite:///{tmp_path}/q.db")
        migrate(engine)
        connections = Connections(Settings(), ProjectServers(engine))
        if said:
            connections.announce(ONE, "http://localhost:8080", "t")
        assert connections.key(ONE) == ProjectKey("http://localhost:8080", 1)
        assert connections.key(1) == ProjectKey("http://localhost:8080", 1)
        engine.dispose()


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.1.1]", "10.0.0.7", "ls.example"]
)
def test_an_announced_address_elsewhere_is_never_fetched(host: str) -> None:
    connections = Connections(Settings())
    connections.announce(ONE, f"http://{host}", "t")
    assert connections.get(connections.key(ONE)) is None


def test_an_announced_address_of_this_machine_is_used_for_its_project(server: Server) -> None:
    server.routes["/api/x"] = lambda _: Answer([])
    connections = Connections(Settings())
    connections.announce(ONE, server.url + "/", "t")
    found = connections.get(connections.key(ONE))
    assert found is not None
    assert found.call("GET", "/api/x") == []
    assert connections.get(connections.key("2.17")) is None


def test_an_address_without_key_gets_the_announced_token() -> None:
    connections = Connections(Settings(label_studio_url="http://ls.internal"))
    connections.announce(ONE, "http://localhost:8080", "t")
    found = connections.get(connections.key(ONE))
    assert found is not None
    assert (found.url, found.has_token) == ("http://ls.internal", True)


@pytest.mark.parametrize(
    "hostname", [None, "", "ftp://x", "javascript:1", "http://u@localhost", "http://[::1", 7]
)
def test_announcements_that_make_no_sense_are_ignored(hostname: Any) -> None:
    connections = Connections(Settings())
    connections.announce(ONE, hostname, "t")
    assert connections.get(connections.key(ONE)) is None


@pytest.mark.parametrize(
    "project", [None, "x", True, [], {}, "1e9.5", 10**12, "1.99999999999999999999"]
)
def test_what_is_no_project_has_no_key(project: Any) -> None:
    assert Connections(Settings()).key(project) is None


def test_who_may_call_setup_cannot_fill_the_memory_or_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.label_studio.connections.MAX_ANNOUNCED", 5)
    monkeypatch.setattr("backend.database.servers.MAX_PROJECTS", 8)
    monkeypatch.setattr("backend.database.webhook_states.MAX_PROJECTS", 8)
    engine = open_engine(f"sqlite:///{tmp_path}/qa.db")
    migrate(engine)
    servers, states = ProjectServers(engine), WebhookStates(engine)
    connections = Connections(Settings(), servers)
    for number in range(20):
        key = connections.announce(f"{number}.{MADE}", "http://localhost:8080", f"t{number}")
        assert key is not None
        states.heard(key, "localhost:9090")
    assert len(connections.servers()) == 1
    assert [connections.get(key) is None for key in sorted(states.all())] == [True] * 8
    assert connections.get(ProjectKey("http://localhost:8080", 19)) is not None
    assert (len(servers.all()), len(states.all())) == (8, 8)
    engine.dispose()


@pytest.mark.parametrize(
    "hostname",
    [
        "http://x/" + "a" * 1_000_000,
        "http://localhost:8080/\x1b[2J",
        "http://x\n/a",
        "http://x/\x85b",
    ],
)
def test_a_name_nobody_could_read_is_no_server(
    tmp_path: Path, hostname: str, caplog: pytest.LogCaptureFixture
) -> None:
    known = ProjectServers()
    found = Connections(Settings(), known).announce(ONE, hostname, "t")
    assert found == ProjectKey("", 1)
    assert known.all() == set()
    assert sum(len(record.getMessage()) for record in caplog.records) < 1000
