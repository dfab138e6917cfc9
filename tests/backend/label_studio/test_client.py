"""The REST client: tokens of both kinds, sub-paths, and whose token goes where."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from backend.database import schema
from backend.label_studio import client, tokens
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.connections import project_id
from backend.qa.events import Changes, project_row
from backend.qa.store import Store
from backend.qa.sync import sync_project
from tests.http_server import Answer, Request, Server, http_server


def jwt(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


@pytest.fixture
def server() -> Iterator[Server]:
    with http_server() as server:
        server.routes["/api/x"] = lambda request: Answer([])
        yield server


def test_a_legacy_token(server: Server) -> None:
    LabelStudio(server.url, SecretStr("a" * 40)).call("GET", "/api/x")
    assert server.requests[0].headers["authorization"] == "Token " + "a" * 40


def test_a_personal_token_buys_an_access_token_until_it_is_spent(server: Server) -> None:
    lives = iter([3600, 3600])
    personal = jwt(kind="refresh")

    def refresh(request: Request) -> Answer:
        assert request.body == {"refresh": personal}
        return Answer({"access": jwt(exp=time.time() + next(lives), n=len(server.requests))})

    server.routes["/api/token/refresh/"] = refresh
    label_studio = LabelStudio(server.url, SecretStr(personal))
    label_studio.call("GET", "/api/x")
    label_studio.call("GET", "/api/x")
    paths = [request.path for request in server.requests]
    assert paths == ["/api/token/refresh/", "/api/x", "/api/x"]
    assert "authorization" not in server.requests[0].headers
    used = {request.headers["authorization"] for request in server.requests[1:]}
    assert len(used) == 1
    assert next(iter(used)).startswith("Bearer e30.")
    sign_in = label_studio._sign_in
    sign_in._access = (sign_in._access or ("", 0))[0], time.time() + 5  # nearly spent
    label_studio.call("GET", "/api/x")
    assert server.requests[-2].path == "/api/token/refresh/"


def test_a_token_ends_by_the_clock_of_label_studio(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives for five minutes there; our clock is ten minutes behind, then ten before."""
    personal = jwt(kind="refresh")
    server.routes["/api/token/refresh/"] = lambda _: Answer({"access": jwt(exp=time.time() + 300)})
    for behind in (600, -600):
        label_studio = LabelStudio(server.url, SecretStr(personal))
        server.requests.clear()
        for later, bought in ((0, 1), (200, 1), (290, 2)):
            ours = SimpleNamespace(
                time=lambda off=later - behind: time.time() + off, monotonic=time.monotonic
            )
            monkeypatch.setattr(tokens, "time", ours)
            label_studio.authorization()
            paths = [request.path for request in server.requests]
            assert (behind, later, paths) == (behind, later, ["/api/token/refresh/"] * bought)


@pytest.mark.parametrize("access", ["a\nb", "\ud800", "Ω.Ω.Ω"])
def test_an_access_token_that_no_header_carries_is_refused(server: Server, access: str) -> None:
    server.routes["/api/token/refresh/"] = lambda _: Answer({"access": access})
    with pytest.raises(LabelStudioError, match="form"):
        LabelStudio(server.url, SecretStr(jwt(kind="refresh"))).call("GET", "/api/x")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_says_what_to_set(server: Server, status: int) -> None:
    server.routes["/api/x"] = lambda request: Answer({}, status)
    with pytest.raises(LabelStudioError, match="VIDEOGEM_LABEL_STUDIO_API_KEY") as error:
        LabelStudio(server.url, SecretStr("s3cret" * 7)).call("GET", "/api/x")
    assert "s3cret" not in str(error.value)


def test_an_address_that_is_no_label_studio(server: Server) -> None:
    server.routes["/api/x"] = lambda request: Answer(b"<html>")
    with pytest.raises(LabelStudioError, match="JSON"):
        LabelStudio(server.url, None).call("GET", "/api/x")


@pytest.mark.parametrize("levels", [65, 100_000])
def test_an_answer_nested_without_end_is_no_answer(server: Server, levels: int) -> None:
    server.routes["/api/x"] = lambda _: Answer(b"[" * levels + b"]" * levels)
    with pytest.raises(LabelStudioError, match="did not answer"):
        LabelStudio(server.url, None).call("GET", "/api/x")


def test_an_address_where_nothing_answers() -> None:
    with pytest.raises(LabelStudioError, match="cannot be reached"):
        LabelStudio("http://127.0.0.1:9", None).call("GET", "/api/x")


@pytest.mark.parametrize(
    ("text", "number"), [("20.1795393766", 20), (20, 20), ("20", 20), (None, None), ("x", None)]
)
def test_project_numbers(text: Any, number: int | None) -> None:
    assert project_id(text) == number


def test_a_missing_project_is_said_in_words_and_nothing_is_quoted(server: Server) -> None:
    server.routes["/api/current-user/whoami"] = lambda _: Answer({"id": 1})
    server.routes["/api/projects/7/"] = lambda _: Answer({"detail": "internal secret"}, 404)
    with pytest.raises(LabelStudioError, match="404: no such project") as error:
        LabelStudio(server.url, None).project(7)
    assert (error.value.status, error.value.path) == (404, "/api/projects/7/")
    assert "internal secret" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "is no Label Studio"), (401, "refused the token"), (503, "of its own")],
)
def test_a_404_of_something_else_does_not_say_that_a_project_is_gone(
    server: Server, tmp_path: Path, status: int, words: str
) -> None:
    """A proxy that leads to another application answers so; the project's figures would go."""
    label_studio = LabelStudio(server.url, None)
    key = label_studio.key(7)
    server.routes["/api/current-user/whoami"] = lambda _: Answer(b"<html>", status)
    with closing(Store(f"sqlite:///{tmp_path}/qa.db")) as store:
        told = project_row({"id": 7, "label_config": "<View/>"}, "2026-01-01")
        store.merge(key.server, Changes(projects=[told]))
        with pytest.raises(LabelStudioError, match=words):
            sync_project(store, label_studio, key)
        [project] = store.rows(schema.projects)
    assert project["deleted_at"] is None
    assert str(status) in project["sync_error"]


def test_a_huge_answer_is_not_read_whole(server: Server) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for _ in range(400):
            sent.append(1)
            yield b" " * client.MEGABYTE

    server.routes["/api/x"] = lambda _: Answer(endless())
    with pytest.raises(LabelStudioError, match="64 MB"):
        LabelStudio(server.url, None).call("GET", "/api/x")
    assert len(sent) < 100


def test_an_answer_that_drips_has_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 0.2)
    done = threading.Event()

    def drip() -> Iterator[bytes]:
        while not done.wait(0.05):
            yield b" "

    server.routes["/api/x"] = lambda _: Answer(drip())
    with pytest.raises(LabelStudioError, match="did not finish"):
        LabelStudio(server.url, None).call("GET", "/api/x")
    done.set()


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"tasks": 3, "total": 1},
        {"tasks": [], "total": "x"},
        {"tasks": ["x"], "total": 1},
        {"tasks": [{}], "total": 1},
    ],
)
def test_pages_of_another_form_are_refused(server: Server, answer: Any) -> None:
    server.routes["/api/tasks/"] = lambda _: Answer(answer)
    with pytest.raises(LabelStudioError, match="form"):
        list(LabelStudio(server.url, None).task_pages(1))


@pytest.mark.parametrize("given", [lambda page: [], lambda page: [{"id": 1}, {"id": 2}]])
def test_pages_that_end_or_repeat_in_the_middle_are_told(server: Server, given: Any) -> None:
    """Those that come no more would count as deleted."""
    first = [{"id": 1}, {"id": 2}]

    def pages(asked: Request) -> Answer:
        page = int(parse_qs(asked.query)["page"][0])
        return Answer({"tasks": first if page == 1 else given(page), "total": 4})

    server.fallback = pages
    with pytest.raises(LabelStudioError, match="has 4 tasks, and listed 2 of them"):
        list(LabelStudio(server.url, None).task_pages(1, page_size=2))


@pytest.mark.parametrize("answer", [{}, ["x"], [{"id": "7"}], [[]]])
def test_lists_of_another_form_are_refused(server: Server, answer: Any) -> None:
    server.routes["/api/predictions/"] = lambda _: Answer(answer)
    with pytest.raises(LabelStudioError, match="form"):
        LabelStudio(server.url, None).remove_predictions(1, "v")


def test_a_project_of_another_form_is_refused(server: Server) -> None:
    server.routes["/api/projects/1/"] = lambda _: Answer([1])
    with pytest.raises(LabelStudioError, match="form"):
        LabelStudio(server.url, None).project(1)


def test_an_access_token_of_another_form_is_refused(server: Server) -> None:
    server.routes["/api/token/refresh/"] = lambda _: Answer({"access": 3})
    with pytest.raises(LabelStudioError, match="form"):
        LabelStudio(server.url, SecretStr(jwt(kind="refresh"))).call("GET", "/api/x")


@pytest.mark.parametrize("end", [None, "soon", [], {}, True, float("inf"), 10**400])
def test_an_access_token_without_a_sensible_end_is_used_for_a_while(
    server: Server, end: Any
) -> None:
    server.routes["/api/token/refresh/"] = lambda _: Answer({"access": jwt(exp=end)})
    label_studio = LabelStudio(server.url, SecretStr(jwt(kind="refresh")))
    for _ in range(2):
        assert label_studio.call("GET", "/api/x") == []
    access = label_studio._sign_in._access
    assert access is not None
    assert time.time() < access[1] < time.time() + 100
