"""A session of 20 tasks by three people, posted as Label Studio posts it: its figures, counted by
hand, are those of the page, the JSON, the CSV, the report, the metrics and the command line.
"""

import csv
import html
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from typer.testing import CliRunner

from backend.cli import app as command
from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes import FakeGrounder
from tests.qa_events import annotation, box, created, deleted, point, prediction

POINT, BOX = point(30, 30), box(20, 20, 20, 20)
KEPT, AWAY = [POINT, BOX], box(60, 60, 20, 20)
ANA, BEN, EVE = 1, 2, 3
# Misses: 3, 6, 8, 9, 13, 16 and 20. Not judged: 10, 11, 17, 18.
HITS, JUDGED = 9, 16


def drawn(kind: str, label: str, value: dict[str, Any]) -> dict[str, Any]:
    return {**box(0, 0, 1, 1, id="own"), "type": kind, "value": {**value, kind: [label]}}


ROUND = drawn("polygonlabels", "action", {"points": [[20, 20], [40, 20], [40, 40], [20, 40]]})
FAR = drawn("ellipselabels", "action", {"x": 70, "y": 70, "radiusX": 9, "radiusY": 9})
OWN, OWN_AWAY = box(20, 20, 20, 20, id="own"), box(60, 60, 20, 20, id="own")

# Task, who, the regions they submitted, and what is unusual about it.
REVIEWS: list[tuple[int, int, list[dict[str, Any]], dict[str, Any]]] = [
    (1, ANA, KEPT, {}),
    (2, ANA, KEPT, {}),
    (3, ANA, [POINT, AWAY], {}),  # the box moved off the point: miss
    (4, ANA, [POINT, box(20, 20, 30, 20)], {}),  # resized: hit
    (5, ANA, [POINT, box(20, 20, 20, 20, label="other")], {}),  # relabelled: hit
    (6, BEN, [BOX], {}),  # the point deleted: miss, though its box is kept
    (7, BEN, [POINT, ROUND], {}),  # a polygon in place of the box: hit
    (8, BEN, [POINT, FAR], {}),  # an ellipse elsewhere: miss
    (9, BEN, [], {}),  # emptied: miss
    (10, BEN, [], {"was_cancelled": True}),  # skipped
    (11, ANA, KEPT, {"lead_time": None}),  # made of predictions in bulk: no review
    (12, EVE, [OWN], {"parent_prediction": None}),  # independent: hit
    (13, EVE, [OWN_AWAY], {"parent_prediction": None}),  # independent: miss
    (14, ANA, KEPT, {}),
    (14, BEN, KEPT, {}),  # two reviews, one point: hit
    (15, ANA, KEPT, {}),
    (15, BEN, [POINT, AWAY], {}),  # half of two reviews: hit
    (16, ANA, KEPT, {}),
    (16, EVE, [OWN_AWAY], {"parent_prediction": None, "ground_truth": True}),  # alone counts: miss
    (17, ANA, KEPT, {}),  # deleted afterwards
    (18, BEN, [BOX], {"parent_prediction": None, "prediction": {}}),  # none known: not scored
    (19, EVE, KEPT, {"version": "v2"}),  # hit
    (20, EVE, KEPT, {"version": "v2"}),  # and then changed: miss
]


def events() -> Iterator[dict[str, Any]]:
    for number, (task, who, regions, unusual) in enumerate(REVIEWS, 1):
        guess = prediction(KEPT, id=task, version=unusual.pop("version", "v1"))
        extra = {"prediction": guess, "parent_prediction": task, "lead_time": 10.0} | unusual
        made = annotation(number, regions, task=task, completed_by=who, project=3, **extra)
        yield created(made)
        if task == 17:
            yield deleted(number, project=3)
        if task == 20:
            late = {**made, "result": [POINT, AWAY], "updated_at": "2026-11-24T00:00:00.000000Z"}
            yield created(late, action="ANNOTATION_UPDATED")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FlaskClient, str]]:
    folder = tmp_path_factory.mktemp("session")
    settings = Settings(data_dir=folder, qa_sync_minutes=0)
    app = create_app(settings, FakeGrounder())
    client = app.test_client()
    for event in events():
        assert client.post("/webhook", json=event).status_code < 300
    client.get("/qa/summary.json")
    yield client, settings.database
    app.extensions["videogem"].close()


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The interval of a share by its formula."""
    z = 1.959963984540054
    middle, spread = (
        hits / n + z * z / 2 / n,
        z * math.sqrt(hits / n * (1 - hits / n) / n + z * z / 4 / n / n),
    )
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def run(*words: str) -> str:
    done = CliRunner().invoke(command, ["qa", *words])
    assert done.exit_code in (0, 1), (done.output, done.exception)
    return done.stdout


def figure(page: str, title: str) -> tuple[str, int, int, str]:
    """Value, hits, n and interval of one of the large figures."""
    part = re.sub(r"<a [^>]*>|</a>", "", page.partition(f"<h3>{title}</h3>")[2])
    part = html.unescape(part).replace("\xa0", " ")
    found = re.search(
        r'class="value">([^<]+)</p>\s*<p>(\d+) of (\d+), 95 % interval ([\d.]+ to [\d.]+ %)', part
    )
    assert found
    return found[1], int(found[2]), int(found[3]), found[4]


def test_the_headline_is_one_everywhere(world: tuple[FlaskClient, str]) -> None:
    client, database = world
    low, high = wilson(HITS, JUDGED)
    for found in (
        client.get("/qa/figures.json").json["headline"],
        client.get("/qa/summary.json?project=3").json,
        json.loads(run("report", "--json", "--database", database))["headline"],
        json.loads(run("export", "--format", "json", "--database", database))["headline"],
    ):
        assert (found["hits"], found["n"]) == (HITS, JUDGED)
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-6)
    said = "56.2 %", HITS, JUDGED, f"{100 * low:.1f} to {100 * high:.1f} %"
    for path in ("/qa", "/qa?project=3", "/qa/report.html"):
        assert figure(client.get(path).text, "All reviewed annotations") == said
    metrics = client.get("/metrics").text
    assert re.search(r'videogem_qa_points\{project="3",[^}]*\} 16\.0', metrics)
    assert re.search(r'videogem_qa_hits\{project="3",[^}]*\} 9\.0', metrics)


def test_what_stands_beside_the_headline(world: tuple[FlaskClient, str]) -> None:
    client, database = world
    page = client.get("/qa").text
    assert figure(page, "Independent annotations")[1:3] == (1, 3)  # 12, 13, ground truth of 16
    assert figure(page, "Edited annotations")[1:3] == (3, 9)  # 3 to 9, Ben's of 15, and 20
    found = json.loads(run("report", "--json", "--database", database))
    # Accepted: 1, 2, 14 twice, 15 once, 19; not Ana's of 16, where ground truth alone counts.
    assert (found["accepted"]["hits"], found["accepted"]["n"]) == (6, 15)
    assert (found["skipped"]["hits"], found["skipped"]["n"]) == (1, 22)
    assert (found["bulk"], found["without_prediction"]) == (1, 1)
    text = re.sub(r"<[^>]+>", "", page)
    assert "6 of 15 that started from a prediction were submitted as it was" in text
    assert "1 more were made of predictions in bulk" in text and "Skipped: 1 of 22." in text
    # Of each review that started from a prediction its point and box, Ana's of 16 too.
    outcomes = {row["outcome"]: row["hits"] for row in found["outcomes"]}
    assert outcomes == {
        "accepted": 14 + 3 + 1 + 2 + 2,  # both of seven; with 3, 4, 5; 6; 7, 8; 15 and 20
        "moved": 3,  # 3, 15, 20
        "resized": 1,
        "relabelled": 1,
        "deleted": 1 + 2 + 2,  # the point of 6, the boxes of 7 and 8, both of 9
        "added": 2,  # of 7 and 8
        "skipped": 2,
    }
    table = re.sub(r"<a [^>]*>|</a>", "", page.partition('id="corrections"')[2])
    rows = re.findall(r'<th scope="row">(\w+)</th><td>(\d+)</td>', table.partition("</table>")[0])
    assert {outcome: int(number) for outcome, number in rows} == outcomes


def test_the_csv_has_the_same_points(world: tuple[FlaskClient, str]) -> None:
    client, database = world
    text = client.get("/qa/regions.csv").text
    assert run("export", "--database", database) == text
    rows = [r for r in csv.DictReader(io.StringIO(text)) if r["kind"] == "point"]
    counted = [r for r in rows if r["counted"] == "True" and r["hit"] != ""]
    reviews = Counter((int(r["task_id"]), r["hit"] == "True") for r in counted)
    tasks = sorted({task for task, _ in reviews})
    hits = [t for t in tasks if 2 * reviews[t, True] >= reviews[t, True] + reviews[t, False]]
    assert hits == [1, 2, 4, 5, 7, 12, 14, 15, 19]
    assert [t for t in tasks if t not in hits] == [3, 6, 8, 9, 13, 16, 20]


def test_people_and_versions(world: tuple[FlaskClient, str]) -> None:
    client, _ = world
    found = client.get("/qa/figures.json").json
    people = {row["annotator"]: row for row in found["annotators"]}
    assert {w: (p["annotations"], p["skipped"], p["bulk"]) for w, p in people.items()} == {
        ANA: (8, 0, 1),  # 1 to 5, 14, 15, 16
        BEN: (7, 1, 0),  # 6 to 9, 14, 15, 18
        EVE: (5, 0, 0),
    }
    assert (people[ANA]["ground_truth"]["hits"], people[ANA]["ground_truth"]["n"]) == (0, 1)
    per_day = {(r["annotator"], r["day"]): (r["annotations"], r["skipped"], r["seconds"])
               for r in found["throughput"]}  # fmt: skip
    assert per_day == {
        (ANA, "2026-11-23"): (8, 0, 80.0),
        (BEN, "2026-11-23"): (8, 1, 80.0),
        (EVE, "2026-11-23"): (4, 0, 40.0),
        (EVE, "2026-11-24"): (1, 0, 10.0),
    }
    versions = {r["name"]: (r["hits"], r["n"]) for r in found["breakdowns"]["model_version"]}
    assert versions == {"v1": (8, 14), "v2": (1, 2)}


@pytest.mark.parametrize(
    ("at_least", "verdict"), [(0.3, "passed"), (0.5, "unknown"), (0.8, "failed")]
)
def test_a_target(world: tuple[FlaskClient, str], at_least: float, verdict: str) -> None:
    client, database = world
    said = run("target", "--project", "3", "--at-least", str(at_least), "--database", database)
    assert verdict in said.lower()
    page = client.get("/qa?project=3").text
    assert f'<strong class="verdict {verdict}">' in page
    assert client.get("/qa/figures.json?project=3").json["target"]["verdict"] == verdict
    assert f'<strong class="verdict {verdict}">' in client.get("/qa/report.html?project=3").text


def test_the_emptied_one_is_a_suspect_and_each_count_has_its_pictures(
    world: tuple[FlaskClient, str],
) -> None:
    client, _ = world
    audit = client.get("/qa/figures.json").json["audit"]
    assert [s["task_id"] for s in audit if "emptied" in str(s["reasons"])] == [9]
    grid = client.get("/qa/pictures?show=misses").text
    tasks = {int(n) for n in re.findall(r"Task (\d+)</", grid)}
    assert tasks == {3, 6, 8, 9, 13, 16, 20}
