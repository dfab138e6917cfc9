"""Backends that are killed, or share their work: every task is predicted once in the end."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from backend.database.schema import jobs
from backend.settings import Settings
from tests.backend.prediction.test_batch import CONFIG, TOKEN, make_tasks
from tests.fake_backend import BackendProcess
from tests.fake_label_studio import FakeLabelStudio, fake_label_studio
from tests.postgres import MISSING, postgres, server_program


def settings(label_studio: FakeLabelStudio, folder: Path) -> dict[str, Any]:
    return {
        "data_dir": folder,
        "label_studio_url": label_studio.url,
        "label_studio_api_key": TOKEN,
        "qa_sync_minutes": 0,
    }


@contextmanager
def backend(values: dict[str, Any], seconds: float) -> Iterator[BackendProcess]:
    process = BackendProcess(values, seconds=seconds)
    try:
        process.wait()
        yield process
    finally:
        process.kill()


def click(backend: BackendProcess, tasks: list[dict[str, Any]]) -> None:
    body = {"project": "1.5", "tasks": tasks, "label_config": CONFIG, "params": {"context": None}}
    answer = requests.post(f"{backend.url}/predict", json=body, timeout=60).json()
    assert not any("result" in item for item in answer["results"])


def wait_until_all_there(label_studio: FakeLabelStudio, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while len({one["task"] for one in list(label_studio.predictions)}) < len(label_studio.tasks):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("num_tasks", "kills"), [(300, 3), pytest.param(5000, 20, marks=pytest.mark.soak)]
)
def test_kill_9_at_random_moments(tmp_path: Path, num_tasks: int, kills: int) -> None:
    chance = random.Random(5)
    with fake_label_studio(CONFIG, make_tasks(num_tasks)) as label_studio:
        values = settings(label_studio, tmp_path)
        for kill in range(kills):
            with backend(values, seconds=0.005) as process:
                if kill == 0:
                    click(process, label_studio.tasks)
                time.sleep(chance.uniform(0, 1.5))
        with backend(values, seconds=0.0):
            wait_until_all_there(label_studio)
        assert set(label_studio.count().values()) == {1}


@pytest.mark.parametrize("database", [pytest.param("sqlite", marks=pytest.mark.soak), "postgresql"])
def test_two_backends_share_1000_tasks_and_one_is_killed(tmp_path: Path, database: str) -> None:
    if database == "postgresql" and server_program("initdb") is None:
        pytest.skip(MISSING)
    with fake_label_studio(CONFIG, make_tasks(1000)) as label_studio:
        values = settings(label_studio, tmp_path)
        if database == "sqlite":
            share(label_studio, values)
            return
        with postgres() as url:
            share(label_studio, values | {"database_url": url})


def share(label_studio: FakeLabelStudio, values: dict[str, Any]) -> None:
    """Two backends work at one click; when both have predicted something the first is killed."""
    engine = sa.create_engine(Settings(**values).database)
    taken: dict[str, set[int]] = defaultdict(set)  # jobs that were seen in somebody's hands
    with backend(values, seconds=0.01) as survivor:
        with backend(values, seconds=0.01) as victim:
            click(victim, label_studio.tasks)
            deadline = time.monotonic() + 120
            while True:
                assert time.monotonic() < deadline
                with engine.connect() as connection:
                    query = sa.select(jobs.c.id, jobs.c.state, jobs.c.owner)
                    rows = connection.execute(query).all()
                for row in rows:
                    if row.state == "running":
                        taken[row.owner].add(row.id)
                predicted = {row.id for row in rows if row.state in ("ready", "done")}
                assert len(predicted) < len(label_studio.tasks)  # some are left to take over
                workers = [owner for owner, ids in taken.items() if ids & predicted]
                if len(workers) == 2 and len(predicted) >= 200:
                    break
                time.sleep(0.02)
        wait_until_all_there(label_studio)
        assert survivor.process.poll() is None
    engine.dispose()
    assert set(label_studio.count().values()) == {1}
