"""`videogem demo`: started, looked at, refused a second time, ended by Ctrl-C, started again."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from label_studio_sdk.client import LabelStudio

from backend.demo.processes import answers, log_tail
from backend.label_studio.project_setup import (
    TAB,
    num_empty_predictions,
    signed_in,
    tasks_without_prediction,
)

ROOT = Path(__file__).resolve().parents[2]
FIRST_START_SECONDS = 600
SECOND_START_SECONDS = 60


def demo_command(state: Path, *options: str) -> list[str]:
    program = [sys.executable, "-c", "from backend.cli import main; main()", "demo"]
    return [*program, "--state", str(state), "--venv", str(ROOT / ".venv-label-studio"), *options]


@contextmanager
def running(state: Path, output: Path, *, seconds: float) -> Iterator[dict[str, Any]]:
    """A demo that has finished setting up; yields what it wrote about itself."""
    where = state / "running.json"
    with output.open("wb") as log:
        process = subprocess.Popen(demo_command(state), stdout=log, stderr=log, cwd=ROOT)
    try:
        deadline = time.monotonic() + seconds
        while not where.exists():
            assert process.poll() is None, log_tail(output)
            assert time.monotonic() < deadline, f"not ready after {seconds} s: {log_tail(output)}"
            time.sleep(0.2)
        demo = json.loads(where.read_text())
        yield demo
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, log_tail(output)
        assert not answers(f"{demo['label_studio']}/health")
        assert not answers(f"{demo['backend']}/health")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)


def contents(demo: dict[str, Any], state: Path) -> dict[str, int]:
    """Number of tasks by project title; every task must carry a prediction."""
    token = json.loads((state / "label-studio" / "credentials.json").read_text())["token"]
    counts = {}
    with signed_in(demo["label_studio"], token) as client:
        for project in client.projects.list():
            assert project.title not in counts
            counts[project.title] = len(list(client.tasks.list(project=project.id)))
            assert tasks_without_prediction(client, project.id) == []
            assert num_empty_predictions(client, project.id) == 0
            scores = scores_in_tab(client, project.id)
            assert len(scores) == counts[project.title] and scores == sorted(scores)
    return counts


def scores_in_tab(client: LabelStudio, project: int) -> list[float]:
    """What the column *Prediction score* of the demo's tab shows, from the top."""
    [tab] = [view for view in client.views.list(project=project) if view.data["title"] == TAB]
    return [task.predictions_score for task in client.tasks.list(project=project, view=tab.id)]


def test_demo_twice(tmp_path: Path) -> None:
    state = tmp_path / "demo"
    with running(state, tmp_path / "first.log", seconds=FIRST_START_SECONDS) as demo:
        first = contents(demo, state)
        assert first and all(count > 0 for count in first.values())
        assert set(first) == set(demo["projects"])

        refused = subprocess.run(
            demo_command(state), capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert refused.returncode == 2
        assert f"running already at {demo['label_studio']}" in refused.stderr
    shown = (tmp_path / "first.log").read_text()
    for part in (demo["label_studio"], "Password", "demo@example.com"):
        assert part in shown
    assert re.search(rf"Start page +{re.escape(demo['backend'])}\s", shown)

    begin = time.monotonic()
    with running(state, tmp_path / "second.log", seconds=SECOND_START_SECONDS) as demo:
        assert time.monotonic() - begin < SECOND_START_SECONDS
        assert contents(demo, state) == first
