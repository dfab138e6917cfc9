"""Several backends on one PostgreSQL behind a balancer: any may answer, and any may be killed."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from backend.database.schema import jobs
from backend.prediction.batch import DIRECT
from backend.settings import Settings
from tests.backend.prediction.test_batch import CONFIG, TOKEN, make_tasks
from tests.fake_backend import BackendProcess
from tests.fake_label_studio import FakeLabelStudio, fake_label_studio
from tests.postgres import MISSING, postgres, server_program
from tests.round_robin import Balancer, balancer

NUM_REPLICAS = 3
LEASE = 4.0  # seconds; 45 in earnest


class Replicas:
    """Backends with one database and folders of their own, as on three machines."""

    def __init__(self, folder: Path, balancer: Balancer, settings: dict[str, Any], **fake: float):
        self._folder, self._balancer, self._settings, self._fake = folder, balancer, settings, fake
        self._started = 0
        self.running: list[BackendProcess] = []
        self.owner: dict[BackendProcess, str] = {}  # its name in the job list

    def start(self, count: int = 1) -> None:
        """Start more of them, together."""
        folders = [self._folder / str(self._started + i) for i in range(count)]
        self._started += count
        new = [
            BackendProcess(self._settings | {"data_dir": folder}, **self._fake)
            for folder in folders
        ]
        self.running += new
        for process, folder in zip(new, folders, strict=True):
            process.wait()
            [owner] = (folder / "owners").iterdir()
            self.owner[process] = owner.name
            self._balancer.backends.append(process.url)

    def kill(self, process: BackendProcess) -> None:
        """The balancer finds out by itself."""
        self.running.remove(process)
        process.kill()

    def serving(self) -> list[BackendProcess]:
        """Those that have started and were not killed."""
        return [each for each in self.running if each in self.owner]

    def close(self) -> None:
        for process in list(self.running):
            self.kill(process)


@contextmanager
def replicas(
    folder: Path, label_studio_url: str, token: str, **fake: float
) -> Iterator[tuple[Replicas, Balancer, sa.Engine]]:
    if server_program("initdb") is None:
        pytest.skip(MISSING)
    with postgres() as url, balancer() as balance, ExitStack() as at_end:
        settings = {
            "database_url": url,
            "label_studio_url": label_studio_url,
            "label_studio_api_key": token,
            "qa_sync_minutes": 0,
        }
        engine = sa.create_engine(Settings(**settings, data_dir=folder).database)
        at_end.callback(engine.dispose)
        found = Replicas(folder, balance, settings, **fake)
        at_end.callback(found.close)
        found.start(NUM_REPLICAS)
        yield found, balance, engine


class Health:
    """Asks every replica that runs for /health, again and again; keeps how long each took."""

    def __init__(self, replicas: Replicas) -> None:
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self._replicas = replicas
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._end.wait(0.1):
            for process in self._replicas.serving():
                begun = time.monotonic()
                try:
                    answer = requests.get(f"{process.url}/health", timeout=5)
                    assert answer.json()["status"] == "UP"
                except (requests.RequestException, AssertionError) as error:
                    if process in self._replicas.serving():
                        self.failed.append(f"{process.url}: {error}")
                else:
                    self.seconds.append(time.monotonic() - begun)

    def stop(self) -> None:
        self._end.set()
        self._thread.join(30)


def owners(engine: sa.Engine) -> dict[str, int]:
    """How many jobs are in whose hands."""
    query = sa.select(jobs.c.owner, sa.func.count().label("num")).where(jobs.c.state == "running")
    with engine.connect() as connection:
        return {row.owner: row.num for row in connection.execute(query.group_by(jobs.c.owner))}


def click(balance: Balancer, tasks: list[dict[str, Any]]) -> None:
    body = {"project": "1.5", "tasks": tasks, "label_config": CONFIG, "params": {}}
    assert requests.post(f"{balance.url}/predict", json=body, timeout=60).ok


def predicted(label_studio: FakeLabelStudio) -> int:
    return len({one["task"] for one in list(label_studio.predictions)})


def test_three_replicas_share_a_click_and_one_is_killed(tmp_path: Path) -> None:
    chance = random.Random(3)
    with (
        fake_label_studio(CONFIG, make_tasks(400)) as label_studio,
        replicas(tmp_path, label_studio.url, TOKEN, seconds=0.02, lease=LEASE) as (
            found,
            balance,
            engine,
        ),
    ):
        first = {"project": "1.5", "schema": CONFIG, "hostname": label_studio.url}
        assert requests.post(f"{balance.url}/setup", json=first, timeout=60).ok
        deadline = time.monotonic() + 240
        seen: set[str] = set()
        while len(seen) < NUM_REPLICAS:  # until all of them have loaded what they need
            assert time.monotonic() < deadline
            click(balance, label_studio.tasks[: DIRECT + 10])
            for _ in range(20):
                seen |= owners(engine).keys()
                time.sleep(0.05)
        click(balance, label_studio.tasks)
        working: set[str] = set()
        while len(working) < 2:  # what one does not hold the others take
            assert time.monotonic() < deadline
            working |= owners(engine).keys()
            time.sleep(0.02)
        health = Health(found)
        victim = chance.choice([each for each in found.running if found.owner[each] in working])
        found.kill(victim)
        killed, dead = time.monotonic(), found.owner[victim]
        while dead in owners(engine):
            # 60 s with a lease of 45.
            assert time.monotonic() - killed < LEASE + 15, "the lease of the dead is not back"
            time.sleep(0.1)
        while predicted(label_studio) < len(label_studio.tasks):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        while owners(engine):  # what is delivered is noted as done a moment later
            assert time.monotonic() < deadline
            time.sleep(0.1)
        health.stop()
        assert health.failed == []
        assert set(label_studio.count().values()) == {1}
        counts = [
            requests.get(f"{balance.url}/jobs?project=1", timeout=60).json()["projects"]
            for _ in range(NUM_REPLICAS)
        ]
        assert [row["done"] for [row] in counts] == [400] * NUM_REPLICAS
        assert len(set(balance.served)) == NUM_REPLICAS
