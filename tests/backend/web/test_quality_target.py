"""The quality target of a project, set on the page."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.qa_world import team_events


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app(Settings(data_dir=tmp_path, qa_sync_minutes=0), FakeGrounder())
    for event in team_events(60):
        app.extensions["videogem"].store.append_event(event)
    yield app.test_client()
    app.extensions["videogem"].close()


def verdict(client: FlaskClient) -> str | None:
    page = client.get("/qa?project=7").text
    found = re.search(r'<strong class="verdict (\w+)">', page)
    return found[1] if found else None


def put(client: FlaskClient, **values: str):  # type: ignore[no-untyped-def]
    return client.post("/qa/target", data={"project": "7", "next": "/qa?project=7", **values})


def test_a_target_is_set_changed_and_taken_away(client: FlaskClient) -> None:
    assert verdict(client) is None
    for percent, expected in (("50", "passed"), ("99.5", "failed"), ("86", "unknown")):
        answer = put(client, percent=percent)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/qa?project=7")
        assert verdict(client) == expected
    put(client, percent="60", of="independent")
    assert "points of independent annotations" in client.get("/qa?project=7").text
    put(client, percent="")
    assert verdict(client) is None
    # It is of one project; where all are shown, people are told so.
    assert "A target is of one project" in client.get("/qa").text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"percent": "much"}, "percent must be a number"),
        ({"percent": "120"}, "share above 0 and up to 1"),
        ({"percent": "0"}, "share above 0 and up to 1"),
        ({"percent": "90", "of": "friends"}, "of must be headline or independent"),
        ({"percent": "90", "project": ""}, "of one project"),
        ({"percent": "90", "project": "x"}, "project must be"),
    ],
)
def test_what_is_no_target_is_refused(
    client: FlaskClient, values: dict[str, str], words: str
) -> None:
    answer = put(client, **values)
    assert answer.status_code == 400
    assert words in answer.json["error"]
    assert verdict(client) is None


def test_no_page_of_another_site_sets_one_or_is_led_to(client: FlaskClient) -> None:
    data = {"project": "7", "percent": "50"}
    answer = client.post("/qa/target", data=data, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert verdict(client) is None
    assert put(client, percent="50", next="//evil.example").headers["Location"] == "/qa"
