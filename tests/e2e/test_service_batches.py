"""Every size of batch ends with every task predicted, once."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.client import LabelStudio

from backend.demo.local_label_studio import LabelStudioServer
from backend.demo.processes import free_port
from backend.label_studio.project_setup import ensure_backend
from tests.e2e.servers import Backend
from tests.e2e.service_helpers import (
    NARRATION,
    SlowGrounder,
    config,
    counts,
    frame_tasks,
    jobs,
    predictions,
    retrieve,
    task_ids,
    wait_for,
)
from tests.fake_backend import BackendProcess
from tests.images import image_url
from tests.postgres import postgres

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]


def test_250_tasks_in_one_request_beyond_the_time_budget(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    backend = start_backend(
        SlowGrounder(0.05),
        predict_budget=3,
        label_studio_url=label_studio.url,
        label_studio_api_key=label_studio.credentials.token,
    )
    project = make_project(config("frame"), frame_tasks(frames, frame_url, 250), backend)
    with ThreadPoolExecutor() as pool:  # pressed twice, as impatient people do
        list(pool.map(lambda _: retrieve(label_studio, project), range(2)))
    assert jobs(backend, project)["queued"] > 0
    wait_for(lambda: jobs(backend, project)["done"] == 250, seconds=120, what="all tasks are done")
    found = predictions(label_studio, project)
    assert counts(found) == dict.fromkeys(task_ids(label_studio, project), 1)
    assert all(len(prediction["result"]) == 2 for prediction in found)
    assert {prediction["model_version"] for prediction in found} == {"fake-1"}


@pytest.mark.parametrize(
    ("num_tasks", "kills", "database"),
    [
        (300, 3, "SQLite"),
        pytest.param(1000, 0, "SQLite", marks=pytest.mark.soak),
        pytest.param(5000, 0, "SQLite", marks=pytest.mark.soak),
        pytest.param(5000, 20, "SQLite", marks=pytest.mark.soak),
        pytest.param(1000, 0, "PostgreSQL", marks=pytest.mark.soak),
        pytest.param(5000, 0, "PostgreSQL", marks=pytest.mark.soak),
    ],
)
def test_one_click(
    label_studio: LabelStudioServer,
    client: LabelStudio,
    make_project: Callable[..., int],
    tmp_path: Path,
    num_tasks: int,
    kills: int,
    database: str,
) -> None:
    """All predictions are there, one each, also where the backend is killed again and again."""
    with postgres() if database == "PostgreSQL" else nullcontext("") as url:
        own = {"database_url": url} if url else {}
        one_click(label_studio, client, make_project, tmp_path, num_tasks, kills, own)


def one_click(
    label_studio: LabelStudioServer,
    client: LabelStudio,
    make_project: Callable[..., int],
    folder: Path,
    num_tasks: int,
    kills: int,
    own: dict[str, str],
) -> None:
    settings = own | {
        "data_dir": folder,
        "label_studio_url": label_studio.url,
        "label_studio_api_key": label_studio.credentials.token,
        "qa_sync_minutes": 0,
        "port": free_port(None),
    }
    chance = random.Random(5)
    backend = BackendProcess(settings, seconds=0.01 if kills else 0.0)
    try:
        backend.wait()
        tasks = [{"frame": image_url(), "narration": NARRATION}] * num_tasks
        project = make_project(config("frame"), tasks)
        ensure_backend(client, project, backend.url)
        started = time.monotonic()
        retrieve(label_studio, project)
        for _ in range(kills):
            time.sleep(chance.uniform(0, 3))
            backend.kill()
            backend = BackendProcess(settings, seconds=0.01)
            backend.wait()
        wait_for(
            lambda: jobs(backend, project)["done"] == num_tasks,
            seconds=600,
            what="all tasks are done",
        )
        took = time.monotonic() - started
        logger.info("%d tasks, %d kills, %s: %.1f s", num_tasks, kills, list(own) or "SQLite", took)
    finally:
        backend.kill()
    found = counts(predictions(label_studio, project))
    assert found == dict.fromkeys(found, 1)
    assert len(found) == num_tasks


@pytest.mark.soak
def test_250_tasks_with_the_demo_model(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    backend = start_backend(
        label_studio_url=label_studio.url, label_studio_api_key=label_studio.credentials.token
    )
    project = make_project(config("frame"), frame_tasks(frames, frame_url, 250), backend)
    started = time.monotonic()
    retrieve(label_studio, project)
    wait_for(lambda: jobs(backend, project)["done"] == 250, seconds=300, what="all tasks are done")
    logger.info("250 tasks, demo model: %.1f s", time.monotonic() - started)
    found = counts(predictions(label_studio, project))
    assert found == dict.fromkeys(task_ids(label_studio, project), 1)


def test_failed_tasks_spare_the_others_and_are_tried_again(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    late = frames / "comes-later.png"
    late.unlink(missing_ok=True)
    backend = start_backend(SlowGrounder(0))
    tasks = frame_tasks(frames, frame_url, 3)
    tasks[1]["frame"] = frame_url(late)
    project = make_project(config("frame"), tasks, backend)
    first, broken, last = task_ids(label_studio, project)
    retrieve(label_studio, project)
    assert counts(predictions(label_studio, project)) == {first: 1, last: 1}
    assert jobs(backend, project)["failed"] == 1
    late.write_bytes((frames / "service-0.png").read_bytes())
    retrieve(label_studio, project)
    assert counts(predictions(label_studio, project)) == {first: 1, broken: 1, last: 1}
    assert jobs(backend, project)["failed"] == 0


def test_imported_tasks_are_predicted_by_themselves_where_that_is_set(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    backend = start_backend(
        SlowGrounder(0),
        prelabel_on_import=True,
        label_studio_url=label_studio.url,
        label_studio_api_key=label_studio.credentials.token,
    )
    project = make_project(config("frame"), frame_tasks(frames, frame_url, 5), backend)
    wait_for(lambda: len(predictions(label_studio, project)) == 5, seconds=30, what="5 predictions")


def test_annotate_killed_and_resumed(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    frames: Path,
    frame_url: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    project = make_project(config("frame"), frame_tasks(frames, frame_url, 120))
    environment = {
        **os.environ,
        "VIDEOGEM_LABEL_STUDIO_URL": label_studio.url,
        "VIDEOGEM_LABEL_STUDIO_API_KEY": label_studio.credentials.token,
        "VIDEOGEM_DATA_DIR": str(tmp_path),
    }

    def annotate(*options: str) -> subprocess.Popen[str]:
        program = "from backend.cli import main; main()"
        command = [sys.executable, "-c", program, "annotate", "--project", str(project), *options]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE
        )

    def finish(process: subprocess.Popen[str]) -> tuple[str, int]:
        out: Any = process.communicate(timeout=120)[0]
        return str(out), process.returncode

    out, code = finish(annotate("--dry-run"))
    assert (code, out.split()[0]) == (0, "120")
    killed = annotate()
    wait_for(lambda: len(predictions(label_studio, project)) > 0, seconds=90, what="a prediction")
    killed.send_signal(signal.SIGKILL)
    finish(killed)
    before = len(predictions(label_studio, project))
    assert 0 < before < 120
    out, code = finish(annotate())
    assert code == 0
    assert f"{120 - before} predicted, {before} had a prediction" in out
    assert set(counts(predictions(label_studio, project)).values()) == {1}
    assert len(predictions(label_studio, project)) == 120
