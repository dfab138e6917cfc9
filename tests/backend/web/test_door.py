"""Who may speak: hosts, origins, content types, headers, and the address listened on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from backend.settings import Settings
from backend.web.app import create_app
from backend.web.door import close_door
from backend.web.serving import check_who_may_ask
from tests.fakes import FakeGrounder
from videogem.errors import InputError

WEBHOOK = {"action": "PROJECT_UPDATED", "project": {"id": 1}}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    settings = Settings(data_dir=tmp_path, public_hosts=("videogem.internal",))
    yield create_app(settings, FakeGrounder()).test_client()


@pytest.mark.parametrize(
    "host", ["localhost:9090", "127.0.0.1:9090", "[::1]:9090", "10.0.0.7", "VideoGEM.internal:9090"]
)
def test_known_hosts(client: FlaskClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example:9090", "evil@localhost", "127.0.0.1.evil.example"],
)
def test_strange_hosts_are_refused_and_told_what_to_set(client: FlaskClient, host: str) -> None:
    answer = client.get("/health", headers={"Host": host})
    assert answer.status_code == 400
    assert "VIDEOGEM_PUBLIC_HOSTS" in answer.status


def test_a_host_that_cannot_be_read_is_named(client: FlaskClient) -> None:
    answer = client.get("/health", headers={"Host": "localhost/evil"})
    assert answer.status == (
        "400 This backend is not known as 'localhost/evil': add the name to VIDEOGEM_PUBLIC_HOSTS, "
        "or set a password (VIDEOGEM_BASIC_AUTH_USER and VIDEOGEM_BASIC_AUTH_PASSWORD)."
    )


def test_with_a_password_the_name_does_not_matter(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, basic_auth_user="u", basic_auth_password=SecretStr("p"))
    client = create_app(settings, FakeGrounder()).test_client()
    assert client.get("/health", headers={"Host": "gpu-box:9090"}).status_code == 200


@pytest.mark.parametrize(
    "marks",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},  # a form of another site
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://localhost:8080"},
    ],
)
def test_other_sites_cannot_write(client: FlaskClient, marks: dict[str, str]) -> None:
    assert client.post("/webhook", json=WEBHOOK, headers=marks).status_code == 403


def test_a_link_from_another_site_can_be_followed(client: FlaskClient) -> None:
    marks = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/jobs", headers=marks).status_code == 200
    marks["Sec-Fetch-Mode"] = "no-cors"  # an image on another site's page
    assert client.get("/jobs", headers=marks).status_code == 403


def test_own_pages_and_programs_can_write(client: FlaskClient) -> None:
    for marks in {}, {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}:
        assert client.post("/webhook", json=WEBHOOK, headers=marks).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("path", ["/webhook", "/setup", "/predict"])
def test_json_says_that_it_is(client: FlaskClient, path: str, kind: str | None) -> None:
    answer = client.post(path, data='{"action": "PROJECT_UPDATED"}', content_type=kind)
    assert answer.status_code == 400
    assert "application/json" in answer.status


@pytest.mark.parametrize("path", ["/health", "/qa", "/jobs", "/doctor", "/nothing-here"])
def test_every_answer_is_protected(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_this_machine_needs_no_password(tmp_path: Path, host: str) -> None:
    check_who_may_ask(Settings(data_dir=tmp_path, host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "gpu-box"])
def test_a_network_needs_one(tmp_path: Path, host: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match="VIDEOGEM_BASIC_AUTH_PASSWORD"):
        check_who_may_ask(Settings(data_dir=tmp_path, host=host))
    check_who_may_ask(
        Settings(
            data_dir=tmp_path, host=host, basic_auth_user="u", basic_auth_password=SecretStr("p")
        )
    )
    assert not caplog.records
    check_who_may_ask(Settings(data_dir=tmp_path, host=host, open=True))
    assert "everybody" in caplog.text


def test_the_default_is_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDEOGEM_HOST", raising=False)
    assert Settings(data_dir=tmp_path).host == "127.0.0.1"


def small_app(settings: Settings) -> FlaskClient:
    app = Flask(__name__)
    app.add_url_rule("/setup", view_func=lambda: "in")
    close_door(app, settings)
    return app.test_client()


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.7", 403), ("", 403)],
)
def test_a_server_that_listens_everywhere_answers_this_machine_alone(
    address: str, status: int
) -> None:
    answer = small_app(Settings()).get("/setup", environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == status
    assert (status == 200) == ("VIDEOGEM_BASIC_AUTH_PASSWORD" not in answer.status)
    opened = small_app(Settings(open=True))
    assert opened.get("/setup", environ_base={"REMOTE_ADDR": address}).status_code == 200


def test_it_answers_others_with_the_password(tmp_path: Path) -> None:
    client = small_app(Settings(basic_auth_user="u", basic_auth_password=SecretStr("p")))
    there = {"REMOTE_ADDR": "10.0.0.7"}
    assert client.get("/setup", environ_base=there).status_code == 401
    assert client.get("/setup", environ_base=there, auth=("u", "p")).status_code == 200


@pytest.mark.parametrize(
    ("named", "host"),
    [
        ("videogem.team.example:9090", "videogem.team.example:9090"),  # as the refusal names it
        ("videogem.team.example:9090", "videogem.team.example"),
        ("VideoGEM.team.example.", "videogem.team.example:9090"),
        ("k\u00fcche.example", "xn--kche-0ra.example:9090"),
    ],
)
def test_a_name_counts_however_it_is_written(tmp_path: Path, named: str, host: str) -> None:
    settings = Settings(data_dir=tmp_path, public_hosts=(named,))
    client = create_app(settings, FakeGrounder()).test_client()
    assert client.get("/health", headers={"Host": host}).status_code == 200
    assert client.get("/health", headers={"Host": f"x.{host}"}).status_code == 400


def test_a_page_behind_a_proxy_that_changes_the_host_can_write(client: FlaskClient) -> None:
    page = {"Origin": "https://gem.example", "Host": "127.0.0.1:9090"}
    assert client.post("/webhook", json=WEBHOOK, headers=page).status_code == 403  # who can tell?
    page["Sec-Fetch-Site"] = "same-origin"  # says the browser itself, which saw the real name
    assert client.post("/webhook", json=WEBHOOK, headers=page).status_code == 201
