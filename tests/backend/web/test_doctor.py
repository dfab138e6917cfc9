"""The doctor: every failure comes with the setting that mends it."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.database.webhook_states import WebhookStates
from backend.label_studio.client import LabelStudio
from backend.label_studio.connections import Connections
from backend.media.media import Media
from backend.prediction.model import BackgroundModel
from backend.qa.store import Store
from backend.settings import Settings
from backend.web import doctor
from backend.web.app import create_app
from backend.web.doctor import Check, diagnose
from tests.fakes import FakeGrounder
from tests.healthy_label_studio import BACKEND, healthy_label_studio
from tests.http_server import Answer, Server
from tests.images import image_url
from videogem.errors import InputError


@pytest.fixture
def server() -> Iterator[Server]:
    with healthy_label_studio() as server:
        yield server


def checks(
    folder: Path, url: str | None, model: BackgroundModel | None = None, **options: Any
) -> dict[str, Check]:
    settings = Settings(data_dir=folder, **options)
    found = diagnose(
        settings,
        model=model or BackgroundModel.of(FakeGrounder()),
        media=Media(settings, Connections(settings)),
        label_studio=LabelStudio(url, SecretStr("t" * 40)) if url else None,
        project=1,
    )
    return {check.name: check for check in found}


def test_all_is_well(tmp_path: Path, server: Server) -> None:
    found = checks(tmp_path, server.url)
    assert {check.level for check in found.values()} == {"ok"}
    assert len(found) == 10


def test_no_address(tmp_path: Path) -> None:
    check = checks(tmp_path, None)["Label Studio"]
    assert (check.level, "VIDEOGEM_LABEL_STUDIO_URL" in check.fix) == ("failure", True)


def test_an_address_where_nothing_answers(tmp_path: Path) -> None:
    check = checks(tmp_path, "http://localhost:9")["Label Studio"]
    assert (check.level, "container" in check.fix) == ("failure", True)


@pytest.mark.parametrize(
    ("path", "answer", "name", "words"),
    [
        ("/api/version", Answer([]), "Label Studio", "VIDEOGEM_LABEL_STUDIO_URL"),
        ("/api/current-user/whoami", Answer({}, 401), "token", "personal access token"),
        ("/api/projects/1/", Answer({}, 403), "project 1", "token of a user"),
        (
            "/api/projects/1/",
            Answer({"label_config": '<View><Image name="i" value="$i"/></View>'}),
            "project 1: labeling config",
            "Labeling Interface",
        ),
        ("/api/ml/", Answer([]), "project 1: backend", "ML_BLOCK_LOCAL_IP"),
        (
            "/api/ml/2",
            Answer({"url": BACKEND, "state": "DI"}),
            "project 1: backend",
            "videogem serve",
        ),
        ("/api/webhooks/", Answer([]), "project 1: webhook", "SSRF_PROTECTION_ENABLED"),
    ],
)
def test_failures_come_with_their_fix(
    tmp_path: Path, server: Server, path: str, answer: Answer, name: str, words: str
) -> None:
    server.routes[path] = lambda request: answer
    check = checks(tmp_path, server.url)[name]
    assert check.level == "failure"
    assert words in check.fix


def test_a_project_that_is_not_there_is_told_with_those_that_are(tmp_path, server) -> None:
    server.routes["/api/projects/1/"] = lambda request: Answer({"detail": "Not found."}, 404)
    there = [{"id": 8, "title": "Kitchen"}, {"id": 7, "title": "Garage"}]
    server.routes["/api/projects/"] = lambda request: Answer({"results": there})
    check = checks(tmp_path, server.url)["project 1"]
    assert check.level == "failure"
    assert check.found == f"there is no project 1 in {server.url} for this token"
    assert "8 (Kitchen), 7 (Garage)" in check.fix


def test_a_name_without_a_dot_gets_no_webhook(tmp_path: Path, server: Server) -> None:
    model = {"id": 2, "url": "http://backend:9090", "state": "CO"}
    server.routes["/api/ml/2"] = lambda request: Answer(model)
    assert "without a dot" in checks(tmp_path, server.url)["project 1: webhook"].fix


def test_a_webhook_without_the_password(tmp_path: Path, server: Server) -> None:
    options = {"basic_auth_user": "u", "basic_auth_password": "p"}
    check = checks(tmp_path, server.url, **options)["project 1: webhook"]
    assert (check.level, "header" in check.fix) == ("failure", True)


def test_media_that_cannot_be_read(tmp_path: Path, server: Server) -> None:
    task = {"id": 5, "data": {"i": "s3://b/a.jpg", "t": "cut"}}
    server.routes["/api/tasks/"] = lambda request: Answer({"tasks": [task], "total": 1})
    assert checks(tmp_path, server.url)["project 1: task 5, i: media"].level == "failure"


def test_weights_and_folder(tmp_path: Path, server: Server) -> None:
    def load() -> FakeGrounder:
        raise InputError("There are no weights.")

    file = tmp_path / "file"
    file.touch()
    found = checks(file / "below", server.url, BackgroundModel("v", load))
    assert found["weights"].found.endswith("There are no weights.")
    assert "VIDEOGEM_DATA_DIR" in found["data folder"].fix
    assert "VIDEOGEM_DATABASE_URL" in found["database"].fix


def test_a_project_that_is_not_in_step_is_told(server: Server, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/quality.sqlite3")
    row = {"server": "http://ls.example", "id": 3, "sync_error": "30 of 30 annotations are gone"}
    with store.write() as connection:
        connection.execute(schema.projects.insert().values(**row))
    WebhookStates(store.engine).note(
        ProjectKey("http://ls.example", 4), "failed", "none leads here"
    )
    store.close()
    settings = Settings(data_dir=tmp_path)
    check, hook = doctor._kept(settings)
    assert (hook.level, "none leads here" in hook.found) == ("warning", True)
    assert (check.level, check.name) == ("warning", "project 3: sync")
    assert "30 of 30" in check.found


def test_passwords_in_addresses_are_not_shown(tmp_path: Path, server: Server) -> None:
    url = BACKEND.replace("//", "//u:secret@")
    hook = {"id": 1, "url": f"{url}/webhook", "is_active": True, "send_payload": True}
    model = {"id": 2, "url": url, "state": "CO", "model_version": "v"}
    server.routes["/api/ml/2"] = lambda request: Answer(model)
    server.routes["/api/webhooks/"] = lambda request: Answer([hook])
    found = checks(tmp_path, server.url)
    assert found["project 1: webhook"].found == f"{BACKEND}/webhook"
    assert "secret" not in str(found)
    hook["url"] = "http://elsewhere/webhook"
    assert "secret" not in str(checks(tmp_path, server.url))
    model["state"] = "DI"
    assert "secret" not in str(checks(tmp_path, server.url))


def test_what_a_link_is_signed_with_is_not_shown(tmp_path: Path, server: Server) -> None:
    picture = base64.b64decode(image_url().partition(",")[2])
    server.routes["/a.png"] = lambda request: Answer(picture)
    link = f"{server.url}/a.png?X-Amz-Signature=secret"
    task = {"id": 5, "data": {"i": link, "t": "cut tomato"}}
    server.routes["/api/tasks/"] = lambda request: Answer({"tasks": [task], "total": 1})
    found = checks(tmp_path, server.url, allowed_hosts="127.0.0.1")
    check = found["project 1: task 5, i: media"]
    assert (check.level, "/a.png: " in check.found) == ("ok", True)
    assert "secret" not in check.found


def test_the_page_names_nobody_by_email_without_a_password(tmp_path: Path, server: Server) -> None:
    words = []
    for protected in {}, {"basic_auth_user": "u", "basic_auth_password": "p"}:
        settings = Settings(
            data_dir=tmp_path / str(len(words)),
            label_studio_url=server.url,
            label_studio_api_key="t" * 40,
            **protected,
        )
        client = create_app(settings, FakeGrounder()).test_client()
        words.append(client.get("/doctor", auth=("u", "p") if protected else None).text)
        client.application.extensions["videogem"].close()
    assert ["me@example.com" in each for each in words] == [False, True]
