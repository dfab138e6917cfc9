"""Requests nobody should send: no answer of 500, no traceback, nothing that stops the rest."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.requests import Generator, Request
from tests.hostile.world import World, hostile_world

logger = logging.getLogger(__name__)
SHORT = 1_200  # requests
LONG = 25_000
LIMIT_S = 2.0  # for one answer; only the long form looks at the clock
PAGES = ("/health", "/qa", "/qa/figures.json", "/qa/coco.json", "/qa/regions.csv",
         "/qa/report.html", "/metrics", "/jobs", "/versions")  # fmt: skip


def check(world: World) -> None:
    """Nothing was found, every page works, and what is JSON is JSON for every reader."""
    world.settle()
    for page in PAGES:
        answer = world.send(-1, Request("GET", page))
        assert answer.status_code == 200, page
        if answer.mimetype == "application/json":
            json.loads(answer.get_data(), parse_constant=pytest.fail)
    counts = world.app.extensions["videogem"].store.inbox_counts()
    assert (counts["waiting"], counts["failed"]) == (0, 0)
    assert not world.faults, "\n\n".join(
        f"{fault.number} {fault.request}\n{fault.problem}" for fault in world.faults[:5]
    )


def test_hostile_requests(tmp_path: Path) -> None:
    with hostile_world(tmp_path) as world:
        for number, request in enumerate(Generator(10).requests(SHORT)):
            world.send(number, request)
        check(world)
        assert world.statuses[200] > SHORT / 5  # a good part is let in, so that it can do harm
        assert world.statuses[201] > SHORT / 10


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2))
def test_many_hostile_requests(tmp_path: Path, seed: int) -> None:
    """The long form; figures are in docs/reliability.md."""
    with hostile_world(tmp_path, seed) as world:
        for number, request in enumerate(Generator(seed).requests(LONG // 2)):
            world.send(number, request, limit_s=LIMIT_S)
        check(world)
        logger.info(
            "%d requests: slowest %.2f s, %.2f s once more where above %g s; dearest %.2f s of CPU",
            LONG // 2, world.slowest, world.slowest_again, LIMIT_S, world.dearest,
        )  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
NAMES = st.sampled_from(("action", "project", "task", "tasks", "annotation", "annotations", "data",
                         "result", "params", "context", "label_config", "schema", "id", "value",
                         "prediction", "type", "hostname", "access_token"))  # fmt: skip
OBJECTS = st.recursive(
    st.dictionaries(NAMES, JSON, max_size=6),
    lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, max_size=3), max_size=5),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with hostile_world(tmp_path_factory.mktemp("world")) as world:
        yield world
        check(world)


@settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(("/webhook", "/setup", "/predict")), body=JSON | OBJECTS)
def test_any_json(world: World, path: str, body: Any) -> None:
    """Shapes nobody thought of; Hypothesis makes them small."""
    raw = json.dumps(body).encode()
    kind = (("Content-Type", "application/json"),)
    before = len(world.faults)
    world.send(0, Request("POST", path, "", kind, raw))
    assert not world.faults[before:]
