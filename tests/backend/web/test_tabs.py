"""The tabs of the quality page over HTTP: found by themselves, filtered, sorted, followed."""

import html
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudioError
from backend.qa import tab as qa_tab
from backend.qa import tabs as folder
from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.qa_events import annotation, box, created, point, prediction
from tests.qa_world import team_events

HTML = {"Accept": "text/html"}
PATHS = ("/qa", "/qa/review", "/qa/people", "/qa/models", "/qa/plan", "/qa/data")
NEW_TAB = '''"""A tab of a test."""

from backend.qa.tab import Asked, Tab


def context(asked: Asked) -> dict[str, object]:
    return {"charts": {}, "breakdowns": {}, "next": {"words": "what the new tab says"}}


class NewTab(Tab):
    template = "qa/tabs/overview.html"


TAB = NewTab("fresh", "Fresh", "/qa/fresh", 9, context, lambda report: 77)
'''


def client_of(folder: Path, events: list[dict] = ()) -> FlaskClient:
    app = create_app(Settings(data_dir=folder, qa_sync_minutes=0), FakeGrounder())
    for event in events:
        app.extensions["videogem"].store.append_event(event)
    return app.test_client()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    client = client_of(tmp_path_factory.mktemp("team"), team_events())
    yield client
    client.application.extensions["videogem"].close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[FlaskClient]:
    client = client_of(tmp_path)
    yield client
    client.application.extensions["videogem"].close()


@pytest.mark.parametrize("path", PATHS)
def test_each_tab_says_where_one_is_and_keeps_the_filters(team: FlaskClient, path: str) -> None:
    page = team.get(f"{path}?project=7&annotator=3").text
    current = re.findall(r'<a href="([^"]*)" aria-current=page', page)
    assert current == [f"{path}?project=7&amp;annotator=3"]
    for other in PATHS:
        assert f'href="{other}?project=7&amp;annotator=3"' in page


def test_a_new_tab_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: FlaskClient
) -> None:
    (tmp_path / "fresh.py").write_text(NEW_TAB)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    qa_tab.tabs.cache_clear()
    try:
        client = client_of(tmp_path / "data", team_events(20))
        page = client.get("/qa/fresh").text
        assert "what the new tab says" in page
        assert re.search(r'Fresh <span class="badge"[^>]*>77<', client.get("/qa").text)
        client.application.extensions["videogem"].close()
    finally:
        qa_tab.tabs.cache_clear()


def test_links_of_before_lead_to_the_list(team: FlaskClient) -> None:
    answer = team.get("/qa?project=7&reason=tiny")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/qa/review?project=7&reason=tiny"


def test_the_number_beside_review_is_that_of_the_list(team: FlaskClient) -> None:
    page = team.get("/qa/review?project=7").text
    badge = re.search(r'Review <span class="badge"[^>]*>(\d+)<', page)
    listed = re.search(r">To look at (\d+)</a>", page)
    assert badge and listed and badge[1] == listed[1] != "0"


def test_tables_are_sorted_by_link_and_say_so(team: FlaskClient) -> None:
    def order(query: str) -> tuple[list[int], list[str]]:
        page = team.get(f"/qa/people?sort={query}").text
        table = page[page.index('id="annotators"') :].partition("</table>")[0]
        rows = re.findall(r"<th scope=\"row\">.*?</th>\s*<td>(\d+)", table, re.DOTALL)
        return [int(n) for n in rows], re.findall(r'aria-sort="(\w+)"', table)[:2]

    down, said = order("-annotators.annotations")
    assert down == sorted(down, reverse=True)
    assert said == ["none", "descending"]
    up, said = order("annotators.annotations")
    assert up == sorted(down)
    assert said == ["none", "ascending"]
    assert sorted(order("annotators.no.such.column")[0]) == up
    assert sorted(order("-annotators.accepted")[0]) == up


def test_open_pages_hear_of_changes_alone(fresh: FlaskClient) -> None:
    def watched() -> str:
        return re.search(r'hx-get="(/qa/revision\?[^"]*)"', fresh.get("/qa").text)[1]

    address = watched()
    assert fresh.get(address).status_code == 204
    guess = prediction([point(30, 30)], id=7)
    fresh.post("/webhook", json=created(annotation(1, [box(20, 20, 20, 20)], prediction=guess)))
    fresh.get("/qa/summary.json")
    answer = fresh.get(address)
    assert answer.status_code == 200
    assert answer.headers["HX-Trigger"] == "figures"
    assert answer.headers["Cache-Control"] == "no-store"
    address = watched()
    assert fresh.get(address).status_code == 204
    fresh.post("/qa/marks", json={"annotation": 1, "verdict": "fine"})
    assert fresh.get(address).status_code == 200
    assert fresh.get(watched()).status_code == 204


def test_without_figures_people_are_told_the_way_to_them(fresh: FlaskClient) -> None:
    for path in PATHS[:5]:
        page = fresh.get(path).text
        assert "No labels came back yet" in page
        assert "VIDEOGEM_LABEL_STUDIO_URL" in page
        assert "<table" not in page
    page = fresh.get("/qa?annotator=3").text
    assert "Nothing is selected" in page


def test_the_start_page_leads_on(fresh: FlaskClient) -> None:
    def steps() -> dict[str, str]:
        page = fresh.get("/", headers=HTML).text
        return dict(re.findall(r"<strong>([^<]+)</strong> <span class=\"state\">([^<]+)<", page))

    names = ["Label Studio", "Model", "Project", "Predictions", "First label"]
    assert steps() == dict(zip(names, ["to do", "done", "to do", "to do", "to do"], strict=True))
    assert fresh.get("/", headers=HTML).text.count("VIDEOGEM_LABEL_STUDIO_URL") == 1
    guess = prediction([point(30, 30)], id=7)
    event = created(annotation(1, [box(20, 20, 20, 20)], prediction=guess))
    event["project"]["label_config"] = "<View/>"
    fresh.post("/webhook", json=event)
    fresh.get("/qa/summary.json")
    assert steps() == dict(zip(names, ["to do", *["done"] * 4], strict=True))
    page = fresh.get("/", headers=HTML).text
    assert '<a href="/qa?project=1"><bdi>kitchen</bdi> (1)</a>' in page
    assert "100.0\xa0%" in page
    answer = fresh.get("/", headers={"Accept": "*/*"})
    assert answer.json == fresh.get("/health").json
    assert "Accept" in answer.headers["Vary"]


def test_a_label_studio_that_is_away_is_not_said_to_be_unknown(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, qa_sync_minutes=0, label_studio_url="http://127.0.0.1:9",
                        label_studio_api_key=SecretStr("t" * 40))  # fmt: skip
    app = create_app(settings, FakeGrounder())
    try:
        [server] = app.extensions["videogem"].connections.servers().values()
        with suppress(LabelStudioError):
            server.call("GET", "/api/users/")
        page = app.test_client().get("/", headers=HTML).text
        assert "cannot be reached" in page
        assert "Is Label Studio running? Check VIDEOGEM_LABEL_STUDIO_URL" in page
        assert "Set VIDEOGEM_LABEL_STUDIO_URL" not in page
    finally:
        app.extensions["videogem"].close()


def test_people_read_what_is_wrong_as_a_page_and_programs_as_json(fresh: FlaskClient) -> None:
    for path in ("/qa?project=abc", "/qa/pictures?show=none"):
        page = fresh.get(path, headers=HTML)
        assert page.status_code == 400
        assert "This cannot be shown" in page.text
        assert "must be" in page.text
        assert "must be" in fresh.get(path).json["error"]


def test_nothing_of_a_task_is_markup(fresh: FlaskClient) -> None:
    evil = '<script>alert("x")</script>'
    guess = prediction([point(30, 30, label=evil)], id=7, version=evil)
    event = created(annotation(1, [box(20, 20, 0, 20, label=evil)], prediction=guess),
                    narration=evil, video=evil)  # fmt: skip
    event["project"]["title"] = evil
    fresh.post("/webhook", json=event)
    for path in ("/", *PATHS):
        page = fresh.get(path, headers=HTML).text
        assert "alert(" not in page or "<script>alert" not in page
        assert "<script>alert" not in page


def test_pages_of_a_list_are_bounded() -> None:
    page = SimpleNamespace(of=qa_tab.page_of)
    for asked, number in (("", 1), ("2", 2), ("9", 3), ("-1", 1), ("x", 1), ("9" * 30, 1)):
        assert page.of(range(25), {"page": asked}, 10)["page"] == number
    assert page.of([], {}, 10) == {"rows": [], "page": 1, "pages": 1, "start": 1, "total": 0}


@pytest.mark.parametrize("path", [*PATHS, "/qa/pictures?show=misses", "/qa/report.html", "/"])
def test_the_end_of_a_line_parts_no_figure_from_its_sign(team, path):
    page = team.get(path, headers=HTML).text
    for hidden in ("script", "style"):
        page = re.sub(rf"<{hidden}\b.*?</{hidden}>", "", page, flags=re.DOTALL)
    page = html.unescape(page)
    assert re.findall(r".{20}\d\s+%", page.replace("\xa0", "_")) == []
    assert re.findall(r"[\d.]+ to [\d.]+_%", page.replace("\xa0", "_")) == []


def test_a_page_that_is_not_there_is_told_as_a_page_to_people(team):
    told = team.get("/qa/overwiev", headers=HTML)
    assert (told.status_code, told.mimetype) == (404, "text/html")
    assert "There is no such page" in told.text and 'href="/qa"' in told.text
    assert "no-such" not in team.get("/no-such", headers=HTML).text
    assert team.get("/qa/overwiev").json == {
        "error": "There is no such page; /openapi.json lists them."
    }


@pytest.mark.parametrize(
    "more", ["endpoint=x", "_method=FOO", "_external=1", "_scheme=ftp", "_anchor=a", "values=1"]
)
def test_the_way_to_the_review_page_takes_any_parameter_as_it_is(
    team: FlaskClient, more: str
) -> None:
    answer = team.get(f"/qa?page=2&{more}")
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/qa/review?page=2&{more}"


def test_the_page_of_very_many_annotators_stays_a_page(tmp_path: Path) -> None:
    """Of 200 who share a task there are 20,000 pairs: a page of 5 MB."""
    drawn = [box(10, 10, 20, 20)]
    events = [created(annotation(k, drawn, task=1, completed_by=k)) for k in range(1, 41)]
    client = client_of(tmp_path, events)
    page = client.get("/qa/people", headers=HTML).text
    assert page.count("</bdi> and <bdi>") == 500
    assert "The first 500 of 780; the exports have all." in page
    assert len(client.get("/qa/figures.json").json["agreement"]) == 780
    client.application.extensions["videogem"].close()


def test_projects_without_end_that_are_not_in_step_are_told_in_short(tmp_path: Path) -> None:
    client = client_of(tmp_path, team_events(3))
    service = client.application.extensions["videogem"]
    for number in range(1, 60):
        key = ProjectKey("http://ls.example", number)
        service.store.bury_project(key)
        service.store.note_sync(key, "404: no such project")
        service.webhooks.states.note(key, "failed", "corrections may not arrive")
    page = client.get("/qa", headers=HTML).text
    assert page.count("404: no such project") == 20
    assert "And 39 more projects are not in step" in page
    assert page.count("corrections may not arrive") == 20
    assert "And the webhooks of 39 more projects" in page
    service.states.look()
    checks = client.get("/health?details").json["checks"]
    told = [check["found"] for check in checks if "sync" in check["name"]]
    assert sum("404" in words for words in told) == 20
    assert "39 more are not in step" in told
    service.close()
