"""Three backends on one PostgreSQL at a real Label Studio, one killed every half minute."""

import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from label_studio_sdk.client import LabelStudio

from backend.demo.local_label_studio import LabelStudioServer
from backend.label_studio.project_setup import ensure_backend
from backend.prediction.job_leases import LEASE
from tests.backend.web.test_replicas import Health, owners, replicas
from tests.e2e.service_helpers import NARRATION, config, counts, predictions, retrieve
from tests.images import image_url

logger = logging.getLogger(__name__)
LOOK_S = 0.5
LONGEST_S = 1800.0  # on a machine that others use too


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("num_tasks", "every_s", "seconds"), [(10_000, 30.0, 0.05)])
def test_one_click_and_kills(
    label_studio: LabelStudioServer,
    client: LabelStudio,
    make_project: Callable[..., int],
    tmp_path: Path,
    num_tasks: int,
    every_s: float,
    seconds: float,
) -> None:
    """Each task is stored once, and what a dead backend held is at work again within a minute."""
    chance = random.Random(9)
    tasks = [{"frame": image_url(), "narration": NARRATION}] * num_tasks
    project = make_project(config("frame"), tasks)
    token = label_studio.credentials.token
    with replicas(tmp_path, label_studio.url, token, seconds=seconds, lease=LEASE) as (
        found,
        balance,
        engine,
    ):
        ensure_backend(client, project, balance.url)
        health = Health(found)
        begun = killed = time.monotonic()
        retrieve(label_studio, project)
        asked = time.monotonic() - begun
        kills, back, dead, killed_at = 0, [], {}, []
        while True:
            held = owners(engine).keys()
            for owner in [each for each in dead if each not in held]:
                back.append(time.monotonic() - dead.pop(owner))
            # The page says it to whoever asks any of them.
            rows = requests.get(f"{balance.url}/jobs?project={project}", timeout=60).json()
            done = rows["projects"][0]["done"] if rows["projects"] else 0
            if done == num_tasks:
                break
            assert time.monotonic() - begun < LONGEST_S, rows
            if time.monotonic() - killed > every_s:
                killed, kills = time.monotonic(), kills + 1
                busy = [each for each in found.running if found.owner[each] in held]
                victim = chance.choice(busy or found.running)
                found.kill(victim)
                killed_at.append(time.time())
                dead[found.owner[victim]] = killed
                found.start()  # elsewhere: nobody but the clock ends the dead one's leases
            time.sleep(LOOK_S)
        took = time.monotonic() - begun
        health.stop()
        times = sorted(health.seconds)
        logger.info(
            "%d tasks, %d kills: %.0f s (asked for within %.0f); leases back after %s s; /health "
            "of %d asked: half within %.0f ms, 99 of 100 within %.0f ms, longest %.0f ms",
            num_tasks, kills, took, asked, [round(each, 1) for each in back], len(times),
            1e3 * times[len(times) // 2], 1e3 * times[len(times) * 99 // 100], 1e3 * times[-1],
        )  # fmt: skip
    assert kills >= 2
    assert not dead
    assert max(back) <= 60
    assert health.failed == []
    saved = predictions(label_studio, project)
    each = counts(saved)
    assert len(each) == num_tasks
    twice = [(one["task"], one["created_at"]) for one in saved if each[one["task"]] > 1]
    assert twice == [], [time.strftime("%H:%M:%S", time.gmtime(at)) for at in killed_at]
