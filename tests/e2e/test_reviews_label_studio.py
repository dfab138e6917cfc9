"""Plans and bulk acceptance in a real Label Studio: tabs, annotations, spot checks, taking back."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from PIL import Image

from backend.label_studio.project_setup import retrieve_predictions
from tests.fakes import FakeGrounder
from tests.qa_world import CONFIG

ROOT = Path(__file__).resolve().parents[2]
NARRATION = "cut the onion"
TASKS, BUDGET, SHARE = 120, 70, 0.3


class World:
    """A project whose tasks all have a prediction, and the commands of the quality store."""

    def __init__(self, label_studio, backend, folder, project):
        self.url, self.token = label_studio.url, label_studio.credentials.token
        self.backend, self.folder, self.project = backend, folder, project
        self.predicted = {}

    def call(self, method, path, **options):
        headers = {"Authorization": f"Token {self.token}"}
        answer = requests.request(
            method, f"{self.url}{path}", headers=headers, timeout=60, **options
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def tasks(self, **params):
        params = {"project": self.project, "page_size": 500, "fields": "all", **params}
        return self.call("GET", "/api/tasks/", params=params)["tasks"]

    def annotations(self):
        return {task["id"]: task["annotations"] for task in self.tasks()}

    def tab(self, title):
        """Ids of the tasks that a tab shows, in its order."""
        views = self.call("GET", "/api/dm/views/", params={"project": self.project})
        [view] = [one for one in views if one["data"]["title"] == title]
        return [task["id"] for task in self.tasks(view=view["id"])]

    def qa(self, command, *more, code=0):
        ended = subprocess.run(
            [sys.executable, "-c", "from backend.cli import main; main()", "qa", command,
             "--project", str(self.project), "--json", *more],
            env={
                **os.environ,
                "VIDEOGEM_DATA_DIR": str(self.folder),
                "VIDEOGEM_LABEL_STUDIO_URL": self.url,
                "VIDEOGEM_LABEL_STUDIO_API_KEY": self.token,
            },
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stdout + ended.stderr
        return json.loads(ended.stdout)

    def figures(self, name):
        url = f"{self.backend.url}/qa/{name}.json?project={self.project}"
        return requests.get(url, timeout=60).json()

    def draw(self, task, *, away=False):
        """Annotate a task without a prediction in sight: a box round its point, or elsewhere."""
        [point] = [r["value"] for r in self.predicted[task] if r["type"] == "keypointlabels"]
        x, y = (80 if away else point["x"] - 5), point["y"] - 5
        value = {"x": x, "y": y, "width": 10, "height": 10, "rotation": 0,
                 "rectanglelabels": ["action"]}  # fmt: skip
        region = {"id": f"own{task}", "type": "rectanglelabels", "from_name": "box",
                  "to_name": "frame", "original_width": 64, "original_height": 48,
                  "image_rotation": 0, "value": value}  # fmt: skip
        body = {"result": [region], "lead_time": 6.0}
        return self.call("POST", f"/api/tasks/{task}/annotations/", json=body)


def wait_for(condition, seconds=60):
    """Webhooks arrive a moment after the call that caused them."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.fixture
def made(label_studio, client, make_project, start_backend, frames, frame_url, tmp_path):
    path = frames / f"reviews-{tmp_path.name}.png"
    Image.new("RGB", (64, 48), (40, 90, 120)).save(path)
    folder = tmp_path / "backend-data"
    backend = start_backend(FakeGrounder({NARRATION: (0.3, 0.3)}), data_dir=folder)
    tasks = [{"image": frame_url(path), "narration": NARRATION} for _ in range(TASKS)]
    project = make_project(CONFIG, tasks, backend)
    ids = [task["id"] for task in World(label_studio, backend, folder, project).tasks()]
    assert list(retrieve_predictions(client, project, ids))
    world = World(label_studio, backend, folder, project)
    world.predicted = {task["id"]: task["predictions"][0]["result"] for task in world.tasks()}
    return world


def test_a_plan_then_acceptance_then_checks_that_contradict_it(made):
    plan = made.qa("plan", "--budget", str(BUDGET), "--tab")
    assert made.tab("Review plan 1") == sorted(plan["tasks"])
    for task in plan["tasks"]:
        made.draw(task)
    wait_for(lambda: made.figures("estimate")["reviewed"] == BUDGET)
    assert made.figures("estimate")["basis"] == "plan"
    before = made.figures("summary")

    found = made.qa("accept", "--check", str(SHARE))
    rest = {task["id"] for task in made.tasks()} - set(plan["tasks"])
    checks = made.tab(f"Spot checks {found['rule']['rule']}")
    assert checks == sorted(checks)
    accepted = {
        task: some[0] for task, some in made.annotations().items()
        if task not in plan["tasks"] and some
    }  # fmt: skip
    assert accepted.keys() == rest - set(checks)
    assert found["accepted"] == len(accepted) == found["rule"]["tasks"]["made"]
    assert all(one["lead_time"] is None and one["parent_prediction"] for one in accepted.values())
    assert all(len(some) <= 1 for some in made.annotations().values())
    assert made.qa("accept")["accepted"] == 0
    wait_for(lambda: made.figures("estimate")["reviews"]["bulk"] == len(accepted))
    assert made.figures("summary") == before  # nobody looked at them

    for task in checks[:6]:
        made.draw(task, away=True)
    wait_for(lambda: made.figures("acceptance")["rules"][0]["checks"]["done"] == 6)
    [rule] = made.figures("acceptance")["rules"]
    assert (rule["state"], rule["checks"]["wrong"]) == ("withdrawn", 6)

    changed, deleted, truth, *others = sorted(accepted)
    path = "/api/annotations/{}/".format
    region = {**accepted[changed]["result"][0], "origin": "manual"}
    made.call("PATCH", path(accepted[changed]["id"]), json={"result": [region]})
    made.call("DELETE", path(accepted[deleted]["id"]))
    made.call("PATCH", path(accepted[truth]["id"]), json={"ground_truth": True})
    told = made.qa("accept", "--undo", "--dry-run")
    assert sorted(told["annotations"]) == sorted(one["id"] for one in accepted.values())
    told = made.qa("accept", "--undo")
    assert (told["rule"]["tasks"]["removed"], told["rule"]["tasks"]["touched"]) == (
        len(others) + 1, 2
    )  # fmt: skip
    left = made.annotations()
    assert [len(left[task]) for task in (changed, deleted, truth)] == [1, 0, 1]
    assert not any(left[task] for task in others)
    assert all(len(left[task]) == 1 for task in plan["tasks"])
