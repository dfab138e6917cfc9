"""Every number that leads to pictures leads to as many as it says."""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.database.keys import ProjectKey
from backend.qa.picks import PICKS
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.quality import create_blueprint
from tests.backend.qa.test_session import session
from tests.qa_events import annotation, box, created, point, prediction
from tests.qa_world import team_events

PATHS = ("/qa", "/qa/people", "/qa/models")
COUNT = re.compile(r'<a class="count" href="([^"]+)">(\d+)</a>')


def versions(store: Store) -> None:
    """Two versions judged on common tasks by people who started from neither, and ground truth."""
    for number in range(1, 31):
        for version, wrong in (("v1", number % 3 == 0), ("v2", number % 5 == 0)):
            guess = [point(80 if wrong else 50, 50), box(60 if wrong else 40, 40, 20, 20)]
            one = ProjectKey("", 1)
            store.record_all(one, [(number, prediction(guess, version=version))])
        for who in (1, 2, 3):
            if who == 3 and number % 4:
                continue
            off = (who + number) % 7 == 0
            drawn = box(70, 70, 10, 10, id="own") if off else box(40, 40, 20, 20, id="own")
            made = annotation(100 * who + number, [drawn], task=number, completed_by=who,
                              ground_truth=who == 3, second=number)  # fmt: skip
            store.append_event(created(made, video_id=f"film{number % 4}"))


def keeps(events: Iterable[tuple[dict[str, Any], str]]) -> Callable[[Store], None]:
    def fill(store: Store) -> None:
        for event, server in events:
            store.append_event(event, server)

    return fill


def two_servers(events: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    for place, event in enumerate(events):
        yield event, "http://one" if place % 2 else "http://two"


WORLDS = {
    "session": keeps([(event, "") for event in session()]),
    "team": keeps([(event, "") for event in team_events(60)]),
    "versions": versions,
    "servers": keeps(list(two_servers(team_events(40)))),
}
FILTERS = {
    "session": ("", "annotator=1", "label=action", "since=2026-11-23&until=2026-11-23"),
    "team": ("", "annotator=3", "verb=cut", "model_version=m1", "label=action&object=soup"),
    "versions": ("", "annotator=2", "video=film1"),
    "servers": ("", "project=7@http://one", "annotator=3@http://two"),
}


@pytest.fixture(scope="module", params=WORLDS)
def world(
    request: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, FlaskClient]]:
    folder = tmp_path_factory.mktemp(request.param)
    with closing(Store(f"sqlite:///{folder}/qa.db")) as store:
        WORLDS[request.param](store)
        app = Flask("pictures")
        app.register_blueprint(create_blueprint(store, Settings(data_dir=folder)))
        yield request.param, app.test_client()


def counts(page: str) -> set[tuple[str, int]]:
    return {(html.unescape(address), int(number)) for address, number in COUNT.findall(page)}


def shown(client: FlaskClient, address: str) -> int:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.text)
    return int(re.search(r'<span id="shown">(\d+)</span>', answer.text)[1])  # type: ignore[index]


def test_numbers_are_those_of_the_grids_they_lead_to(world: tuple[str, FlaskClient]) -> None:
    name, client = world
    for query in FILTERS[name]:
        links = {pair for path in PATHS for pair in counts(client.get(f"{path}?{query}").text)}
        assert len(links) >= 10, query
        wrong = [(a, n, found) for a, n in sorted(links) if (found := shown(client, a)) != n]
        assert wrong == []


def test_a_grid_has_a_card_for_each_and_no_two_of_one_point(world: tuple[str, FlaskClient]) -> None:
    name, client = world
    for address, number in sorted(counts(client.get("/qa").text))[:12]:
        cards, page = [], 1
        while len(
            found := re.findall(r'id="(card-[\d-]+)"', client.get(f"{address}&page={page}").text)
        ):
            cards += found
            page += 1
            if len(cards) >= number:
                break
        assert len(cards) == number
        # Two servers have annotations of one number.
        assert len(set(cards)) == number or name == "servers"


def test_a_card_is_one_link_that_covers_it(tmp_path: Path) -> None:
    """Two links to one place are two stops of the Tab key for each picture."""
    with closing(Store(f"sqlite:///{tmp_path}/qa.db")) as store:
        keeps([(event, "http://one") for event in team_events(20)])(store)
        app = Flask("pictures")
        app.register_blueprint(create_blueprint(store, Settings(data_dir=tmp_path)))
        page = app.test_client().get("/qa/pictures?show=annotations").text
    cards = re.findall(r'<li class="card".*?</li>', page, re.DOTALL)
    assert len(cards) == 20
    assert {card.count("<a ") for card in cards} == {1}
    assert all('<a class="whole" href="http://one/projects/7/data?task=' in card for card in cards)


def test_all_ways_are_taken(tmp_path: Path) -> None:
    found: set[str] = set()
    for name, fill in WORLDS.items():
        with closing(Store(f"sqlite:///{tmp_path}/{name}.db")) as store:
            fill(store)
            app = Flask("ways")
            app.register_blueprint(create_blueprint(store, Settings(data_dir=tmp_path)))
            client = app.test_client()
            for path in PATHS:
                found |= {
                    re.search(r"show=([\w-]+)", a)[1] for a, _ in counts(client.get(path).text)
                }  # type: ignore[index]
    # Those that no page links to by themselves can be asked for all the same.
    assert PICKS.keys() - found <= {"honeypots-apart", "pair-agreed", "keypoints-only", "bulk"}


def test_the_misses_are_those_counted_by_hand(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/qa.db")) as store:
        for event in session():
            store.append_event(event)
        app = Flask("misses")
        app.register_blueprint(create_blueprint(store, Settings(data_dir=tmp_path)))
        page = app.test_client().get("/qa/pictures?show=misses").text
    tasks = sorted(int(n) for n in re.findall(r"<strong>Task (\d+)</strong>", page))
    assert tasks == [5, 7, 9, 13, 18]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("show=none", "show must be one of"),
        ("show=hits&least=much", "least must be a number"),
        ("show=hits&among=friends", "among must be"),
        ("show=differs&first=v9&second=m1", "There is no model version"),
    ],
)
def test_what_cannot_be_shown_is_said(
    world: tuple[str, FlaskClient], query: str, words: str
) -> None:
    answer = world[1].get(f"/qa/pictures?{query}")
    assert answer.status_code == 400
    assert words in html.unescape(answer.text)
