"""Predictions stored in a real Label Studio project, scored against the boxes people submitted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from backend.demo.local_label_studio import LabelStudioServer
from tests.e2e.servers import Backend
from tests.e2e.service_helpers import call, config, frame_tasks, predictions, retrieve, task_ids
from tests.fakes import FakeGrounder

MISSED = {
    "x": 0, "y": 0, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["Action box"]
}  # fmt: skip


def test_stored_predictions_are_scored(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    """Three boxes accepted, one moved away: three hits of four; a fifth task has no label."""
    project = make_project(
        config("frame"), frame_tasks(frames, frame_url, 5), start_backend(FakeGrounder())
    )
    retrieve(label_studio, project)
    found = {one["task"]: one["result"] for one in predictions(label_studio, project)}
    ids = task_ids(label_studio, project)
    for number, task in enumerate(ids[:4]):
        result = found[task]
        if number == 3:
            (box,) = (region for region in result if region["type"] == "rectanglelabels")
            box["value"] = MISSED
        url = f"{label_studio.url}/api/tasks/{task}/annotations/"
        call(url, label_studio.credentials.token, "POST", {"result": result})
    command = "from backend.cli import main; main()"
    arguments = ["evaluate", "--label-studio", str(project), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        env=os.environ
        | {
            "VIDEOGEM_LABEL_STUDIO_URL": label_studio.url,
            "VIDEOGEM_LABEL_STUDIO_API_KEY": label_studio.credentials.token,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["n"], row["accuracy"]) == (4, 0.75)
    assert row["box_iou"] == 0.75
