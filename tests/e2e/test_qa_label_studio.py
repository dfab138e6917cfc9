"""The quality figures of a real Label Studio: five annotators' events, lost events, and a sync."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import requests
from PIL import Image

from backend.label_studio.project_setup import retrieve_predictions
from tests.fakes import FakeGrounder
from tests.qa_world import CONFIG

NARRATIONS = {"cut the onion": (0.3, 0.3), "stir the soup": (0.7, 0.4), "wash the cup": (0.5, 0.8)}
ROOT = Path(__file__).resolve().parents[2]


class Annotator:
    """One user of Label Studio, signed up by invitation, who works through the REST API."""

    def __init__(self, server, number):
        self.url = server.url
        admin = {"Authorization": f"Token {server.credentials.token}"}
        invite = requests.get(f"{self.url}/api/invite", headers=admin, timeout=30).json()
        session = requests.Session()
        address = self.url + re.sub(r"^https?://[^/]+", "", invite["invite_url"])
        form = session.get(address, timeout=30)
        fields = {
            "email": f"annotator{number}-{time.time_ns()}@example.com",
            "password": "a-long-password-1",
            "allow_newsletters": "false",
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        }
        done = session.post(address, data=fields, headers={"Referer": form.url}, timeout=30)
        done.raise_for_status()
        token = session.get(f"{self.url}/api/current-user/token", timeout=30).json()["token"]
        self.headers = {"Authorization": f"Token {token}"}
        self.id = session.get(f"{self.url}/api/current-user/whoami", timeout=30).json()["id"]

    def call(self, method, path, **options):
        answer = requests.request(
            method, f"{self.url}{path}", headers=self.headers, timeout=60, **options
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def submit(self, task, regions, *, prediction=None, **fields):
        body = {"result": regions, "parent_prediction": prediction, "lead_time": 6.0, **fields}
        return self.call("POST", f"/api/tasks/{task}/annotations/", json=body)["id"]


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def wait_for(url, expected, name="headline"):
    """Webhooks arrive a moment after the call that caused them."""
    deadline = time.monotonic() + 30
    while True:
        found = get(url)
        figures = found if name is None else found[name]
        if (figures["n"], figures["hits"]) == expected or time.monotonic() > deadline:
            assert (figures["n"], figures["hits"]) == expected
            return found
        time.sleep(0.3)


def moved(region, dx):
    value = region["value"]
    x = value["x"] + dx if value["x"] + value["width"] + dx <= 100 else value["x"] - dx
    return {**region, "origin": "prediction-changed", "value": {**value, "x": x}}


@pytest.fixture
def setting(label_studio, client, make_project, start_backend, frames, frame_url, tmp_path):
    """A project of six tasks with predictions, a backend, and its data folder."""
    tasks = []
    for number, narration in enumerate([*NARRATIONS, *NARRATIONS]):
        path = frames / f"qa-{tmp_path.name}-{number}.jpg"
        Image.new("RGB", (640, 360), (40 * number, 90, 120)).save(path)
        tasks.append({"image": frame_url(path), "narration": narration})
    folder = tmp_path / "backend-data"
    backend = start_backend(FakeGrounder(dict(NARRATIONS)), data_dir=folder)
    project = make_project(CONFIG, tasks, backend)
    found = list(client.tasks.list(project=project, fields="all"))
    assert list(retrieve_predictions(client, project, [task.id for task in found]))
    predictions = {t.id: client.predictions.list(task=t.id)[0] for t in found}
    return project, backend, folder, predictions


def regions_of(prediction):
    by_type = {r["type"]: dict(r) for r in prediction.result}
    return by_type["keypointlabels"], by_type["rectanglelabels"]


def test_five_annotators_then_lost_events_then_a_sync(setting, label_studio, client):
    project, backend, folder, predictions = setting
    people = [Annotator(label_studio, number) for number in range(5)]
    figures = f"{backend.url}/qa/figures.json?project={project}"
    summary = f"{backend.url}/qa/summary.json?project={project}"
    assert get(summary)["n"] == 0

    # Everybody does every task: four accept, the fifth moves each box off the point.
    made = {}
    for task, prediction in predictions.items():
        point, box = regions_of(prediction)
        for number, person in enumerate(people):
            regions = [point, box if number < 4 else moved(box, 30)]
            made[task, number] = person.submit(task, regions, prediction=prediction.id)
    found = wait_for(figures, (30, 24), name="accepted")
    headline = found["headline"]
    assert (headline["n"], headline["hits"]) == (6, 6)  # each point lies in four boxes of five
    table = {row["annotator"]: row for row in found["annotators"]}
    assert table.keys() == {person.id for person in people}
    assert all(row["annotations"] == 6 for row in table.values())
    assert table[people[0].id]["accepted"]["accuracy"] == 1
    assert table[people[4].id]["accepted"]["accuracy"] == 0
    assert found["subsets"]["edited"]["n"] == 6
    pairs = {(row["first"], row["second"]): row for row in found["agreement"]}
    first, second, odd = (str(people[i].id) for i in (0, 1, 4))
    assert pairs[tuple(sorted((first, second)))]["accuracy"] == 1
    assert pairs[tuple(sorted((first, odd)))]["accuracy"] == 0
    assert found["audit_counts"]["annotator-disagreement"] == 6

    # A changed mind, a deletion, a skip, and an annotation that no prediction led to.
    task, *others = predictions
    point, box = regions_of(predictions[task])
    people[0].call(
        "PATCH", f"/api/annotations/{made[task, 0]}/", json={"result": [point, moved(box, 30)]}
    )
    wait_for(figures, (30, 23), name="accepted")
    people[1].call("DELETE", f"/api/annotations/{made[task, 1]}/")
    wait_for(figures, (29, 22), name="accepted")
    people[1].submit(others[0], [], was_cancelled=True)
    fresh = {**box, "id": "drawn-anew"}
    people[1].submit(task, [fresh])
    found = wait_for(figures, (31, 1), name="skipped")
    assert (found["subsets"]["independent"]["n"], found["subsets"]["independent"]["hits"]) == (1, 1)

    # Ground truth stands for its task.
    people[2].call("PATCH", f"/api/annotations/{made[task, 2]}/", json={"ground_truth": True})
    wait_for(figures, (26, 21), name="accepted")

    # Without webhooks nothing arrives any more, until a sync fetches it.
    for hook in client.webhooks.list(project=project):
        client.webhooks.delete(id=hook.id)
    point, box = regions_of(predictions[others[0]])
    people[3].call(
        "PATCH",
        f"/api/annotations/{made[others[0], 3]}/",
        json={"result": [point, moved(box, 30)]},
    )
    people[3].call("DELETE", f"/api/annotations/{made[others[1], 3]}/")
    people[3].submit(others[2], [point], prediction=None)
    client.tasks.delete(id=others[3])
    time.sleep(2)  # long enough for an event to arrive that must not
    accepted = get(figures)["accepted"]
    assert (accepted["n"], accepted["hits"]) == (26, 21)
    said = videogem_sync(label_studio, folder, project)
    assert "1 annotations fetched, 1 updated, 6 removed, 1 tasks removed" in said
    # 26 less the deleted one and the deleted task's five; one box moved off its point.
    wait_for(figures, (20, 15), name="accepted")
    wait_for(summary, (5, 5), name=None)
    assert "0 annotations fetched, 0 updated, 0 removed" in videogem_sync(
        label_studio, folder, project
    )


def videogem_sync(label_studio, folder, project):
    ended = subprocess.run(
        [sys.executable, "-c", "from backend.cli import main; main()", "qa", "sync",
         "--project", str(project)],
        env={
            **os.environ,
            "VIDEOGEM_DATA_DIR": str(folder),
            "VIDEOGEM_LABEL_STUDIO_URL": label_studio.url,
            "VIDEOGEM_LABEL_STUDIO_API_KEY": label_studio.credentials.token,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
