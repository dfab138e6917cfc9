"""Names of annotators and projects: fetched behind the pages, kept, told without e-mails."""

import html
import json
import re
import threading
from typing import Any

import pytest
from pydantic import SecretStr

from backend.database.keys import ProjectKey, server_name
from backend.label_studio.connections import Connections
from backend.labeling.ready import ready_config
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.names import FRESH_S, RETRY_S, Names
from tests.backend.prediction.test_batch import wait_for
from tests.fakes import FakeGrounder
from tests.http_server import Answer, http_server
from tests.no_threads import no_threads
from tests.qa_events import annotation, box, created, point, prediction
from tests.qa_world import team_events

USERS = [
    {"id": 1, "first_name": "Ana", "last_name": "Lima", "username": "ana", "email": "ana@x.org"},
    {"id": 2, "first_name": "", "last_name": "", "username": "ben@x.org", "email": "ben@x.org"},
    {"id": 3, "first_name": "Eve", "last_name": "\u202e\n<b>", "email": "eve@x.org"},
    {"id": 4, "first_name": "Ana", "last_name": "Lima", "email": "other@x.org"},
    {"id": 5, "first_name": None, "last_name": 7, "email": None},
    {"id": 6, "first_name": "x" * 500, "last_name": ""},
]


@pytest.fixture
def studio():
    with http_server() as server:
        server.routes["/api/users/"] = lambda request: Answer(USERS)
        server.routes["/api/projects/8/"] = lambda request: Answer({"id": 8, "title": "Kitchen"})
        yield server


@pytest.fixture
def store(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    yield store
    store.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def names_of(url, store, clock=None, **settings):
    settings = Settings(label_studio_url=url, label_studio_api_key=SecretStr("k"), **settings)
    return Names(Connections(settings), store, clock=clock or Clock())


def asked(studio):
    return sum(request.path == "/api/users/" for request in studio.requests)


def known(names, annotator=1):
    wait_for(lambda: names.person(annotator) != f"annotator {annotator}")
    return names


def test_names_come_behind_the_page_and_without_email(studio, store):
    names = names_of(studio.url, store)
    assert names.person(1) == "annotator 1"  # at once, whatever Label Studio does
    known(names)
    assert names.person("3") == "Eve <b>"  # templates escape it
    assert names.person(2) == names.person("2") == "annotator 2"
    assert (names.person(1), names.person(4)) == ("Ana Lima (1)", "Ana Lima (4)")
    assert names.person(5) == "annotator 5"
    assert names.person(6) == "x" * 59 + "…"
    assert names.person(77) == "annotator 77"
    for odd in ("", "None", "x", "3@", "²", "9" * 30):
        assert isinstance(names.person(odd), str)


def test_emails_where_they_may_be_seen(studio, store):
    names = known(names_of(studio.url, store))
    assert names.person(2, emails=True) == "ben@x.org"
    assert names.person(1, emails=True) == "Ana Lima (ana@x.org)"
    assert names.person(3, emails=True) == "Eve <b>"
    assert names.person(5, emails=True) == "annotator 5"


def test_a_page_does_not_wait_for_a_label_studio_that_hangs(studio, store):
    asked_for, go_on = threading.Event(), threading.Event()

    def slow(request):
        asked_for.set()
        go_on.wait(30)
        return Answer(USERS)

    studio.routes["/api/users/"] = slow
    names = names_of(studio.url, store)
    for _ in range(50):
        assert names.person(1) == "annotator 1"
    assert asked_for.wait(30)
    assert names.person(1) == "annotator 1"
    go_on.set()
    known(names)
    assert asked(studio) == 1


def test_old_names_are_asked_for_again_and_outlive_an_outage(studio, store):
    clock = Clock()
    names = known(names_of(studio.url, store, clock), 3)
    clock.now += FRESH_S - 1
    names.person(3)
    assert asked(studio) == 1
    studio.routes["/api/users/"] = lambda request: Answer({"detail": "down"}, 503)
    clock.now += 2
    assert names.person(3) == "Eve <b>"
    wait_for(lambda: asked(studio) == 2)
    wait_for(lambda: not names._at_work)
    assert names.person(3) == "Eve <b>"
    studio.routes["/api/users/"] = lambda request: Answer([{**USERS[2], "first_name": "Eva"}])
    clock.now += RETRY_S
    wait_for(lambda: names.person(3) == "Eva <b>")


def test_somebody_new_is_asked_for_but_not_all_the_time(studio, store):
    clock = Clock()
    names = known(names_of(studio.url, store, clock), 3)
    names.person(9)
    assert asked(studio) == 1
    studio.routes["/api/users/"] = lambda request: Answer([*USERS, {"id": 9, "first_name": "Kim"}])
    clock.now += RETRY_S
    wait_for(lambda: names.person(9) == "Kim")
    assert asked(studio) == 2


@pytest.mark.parametrize("body", [b"<html>", {"results": []}, [{"id": "x"}], [3], None])
def test_answers_in_another_form_leave_numbers(studio, store, body):
    studio.routes["/api/users/"] = lambda request: Answer(body)
    names = names_of(studio.url, store)
    names.ask()
    assert names.person(1) == "annotator 1"


def test_two_servers_have_people_of_their_own(studio, store):
    with http_server() as other:
        other.routes["/api/users/"] = lambda request: Answer([{"id": 1, "first_name": "Zoe"}])
        more = SecretStr(json.dumps({other.url: "k2"}))
        names = names_of(studio.url, store, more_label_studios=more)
        names.ask()
        assert names.person(f"1@{server_name(other.url)}") == "Zoe"
        assert names.person(f"3@{server_name(studio.url)}") == "Eve <b>"
        assert names.person(1) == "annotator 1"  # of whom?


def test_titles_come_from_events_else_from_label_studio(studio, store):
    names = names_of(studio.url, store)
    server = server_name(studio.url)
    store.append_event(
        {
            "action": "PROJECT_UPDATED",
            "project": {"id": 1, "title": "Gar\nden", "label_config": ""},
        },
        server,
    )
    store.process_pending()
    assert names.title(ProjectKey(server, 1)) == "Gar den"
    assert names.title(ProjectKey(server, 8)) == ""
    wait_for(lambda: names.title(ProjectKey(server, 8)) == "Kitchen")
    assert names.title(ProjectKey(server, 99)) == ""


def test_the_job_list_names_projects_by_title(studio, tmp_path):
    settings = Settings(
        data_dir=tmp_path, label_studio_url=studio.url, label_studio_api_key=SecretStr("k")
    )
    app = create_app(settings, FakeGrounder())
    try:
        parts = app.extensions["videogem"]
        key = ProjectKey(server_name(studio.url), 8)
        parts.runner.stop()
        parts.jobs.enqueue(key, "<View/>", "v", [{"id": 1, "data": {}}])
        client = app.test_client()
        wait_for(lambda: client.get("/jobs").json["projects"][0]["title"] == "Kitchen")
        page = client.get("/jobs", headers={"Accept": "text/html"}).get_data(as_text=True)
        assert "<bdi>Kitchen</bdi> (8)" in page
    finally:
        parts.close()


def test_a_connected_project_has_its_title_on_the_first_page(studio, tmp_path):
    settings = Settings(
        data_dir=tmp_path, label_studio_url=studio.url, label_studio_api_key=SecretStr("k")
    )
    app = create_app(settings, FakeGrounder())
    try:
        parts = app.extensions["videogem"]
        client = app.test_client()
        told = {"project": "8.5", "schema": ready_config("frame"), "hostname": studio.url}
        assert client.post("/setup", json=told).status_code == 200
        wait_for(lambda: all(thread.name != "names" for thread in threading.enumerate()))
        page = client.get("/", headers={"Accept": "text/html"}).get_data(as_text=True)
        assert "<bdi>Kitchen</bdi> (8)" in page
    finally:
        parts.close()


@pytest.mark.parametrize("password", [None, SecretStr("p")])
def test_pages_and_report_call_people_by_name(studio, tmp_path, password, monkeypatch):
    # This Label Studio knows no project, so the first sync would take it for deleted.
    monkeypatch.setattr("backend.qa.sync.START_S", 3600.0)
    user = {"basic_auth_user": "u", "basic_auth_password": password} if password else {}
    settings = Settings(
        data_dir=tmp_path,
        label_studio_url=studio.url,
        label_studio_api_key=SecretStr("k"),
        qa_sync_minutes=0,
        **user,
    )
    app = create_app(settings, FakeGrounder())
    try:
        for event in team_events(40):
            app.extensions["videogem"].store.append_event(event)
        known(app.extensions["videogem"].names, 3)

        def text(path):
            signed = ("u", "p") if password else None
            return app.test_client().get(path, auth=signed).get_data(as_text=True)

        for path in ("/qa/people", "/qa/review"):
            shown = text(path)
            assert '<option value="3">Eve &lt;b&gt;</option>' in shown
            assert ("ben@x.org" in shown) == bool(password)
        report = text("/qa/report.html")
        assert "Eve &lt;b&gt;" in report
        assert "ben@x.org" not in report and "annotator 2" in report
    finally:
        app.extensions["videogem"].close()


def of_two(number: int, who: int) -> dict[str, Any]:
    """An annotation that somebody drew without a prediction; every fifth somewhere else."""
    place = box(70, 70, 10, 10, id="own") if number % 5 == 0 else box(40, 40, 20, 20, id="own")
    made = annotation(100 * who + number, [place], task=number, completed_by=who, project=7)
    event = created(made, video_id=f"0f3a9c1{number % 2}-film.mp4")
    event["project"]["label_config"] = "<View/>"
    return event


def test_names_stand_in_charts_captions_agreement_and_reliability(studio, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.qa.sync.START_S", 3600.0)
    settings = Settings(data_dir=tmp_path, label_studio_url=studio.url,
                        label_studio_api_key=SecretStr("k"), qa_sync_minutes=0)  # fmt: skip
    app = create_app(settings, FakeGrounder())
    try:
        store, server = app.extensions["videogem"].store, server_name(studio.url)
        for number in range(1, 13):
            guess = prediction([point(50, 50), box(40, 40, 20, 20)], version="m1")
            store.record_all(ProjectKey(server, 7), [(number, guess)])
            for who in (1, 3, 4):
                store.append_event(of_two(number, who), server)
        known(app.extensions["videogem"].names, 3)

        def text(path):
            return app.test_client().get(path).get_data(as_text=True)

        def bars(page, name):
            specs = json.loads(html.unescape(re.search(r'id="charts">(.*?)</script>', page)[1]))
            return [row["name"] for row in specs[f"by-{name}"]["data"]["values"]]

        people = text("/qa/people")
        # Two have one name, and one of them must not hide the other.
        names = ["Ana Lima (1)", "Eve <b>", "Ana Lima (4)"]
        assert bars(people, "annotator") == names
        assert bars(text("/qa/report.html"), "annotator") == names
        agreement = people.partition('id="agreement"')[2].partition("</table>")[0]
        sides = re.findall(r"<bdi>(.*?)</bdi> and <bdi>(.*?)</bdi>", agreement)
        assert ("Ana Lima (1)", "Eve &lt;b&gt;") in sides
        assert ("Ana Lima (4)", "model: m1") in sides
        assert not any("annotator" in side for pair in sides for side in pair)
        reliable = people.partition('id="reliability-of-people"')[2].partition("</table>")[0]
        assert re.findall(r'<th scope="row">(.*?)</th>', reliable) == [
            "Ana Lima (1)", "Eve &lt;b&gt;", "Ana Lima (4)"]  # fmt: skip
        assert "by Eve &lt;b&gt;" in text("/qa/pictures?show=reviewed&who=3")
        assert "Eve &lt;b&gt; and model: m1" in text(
            "/qa/pictures?show=pair&first=3&second=model:+m1"
        )
        films = bars(text("/qa"), "video")  # uploads of one name
        assert films == ["film.mp4 (0f3a9c10-film.mp4)", "film.mp4 (0f3a9c11-film.mp4)"]
    finally:
        app.extensions["videogem"].close()


def test_names_come_after_a_moment_without_threads(studio, store):
    names = names_of(studio.url, store)
    with no_threads("names"):
        assert names.person(1) == "annotator 1"
    known(names)


def test_titles_of_projects_without_end_are_not_asked_for(studio, store, monkeypatch):
    """Anybody who may call /setup can name projects."""
    monkeypatch.setattr("backend.web.names.MOST_TITLES", 5)
    names = names_of(studio.url, store)
    with no_threads("names"):
        for number in range(50):
            names.want_title(ProjectKey(studio.url, number))
    assert len(names._wanted) == 5
