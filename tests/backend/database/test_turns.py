"""Turns: one process at a time, and a dead one's turn is free at once."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.database.engine import open_engine
from backend.database.turns import alone, in_turn
from tests.backend.prediction.test_batch import wait_for
from tests.postgres import MISSING, postgres, server_program

HOLD = """
import sys, time
from backend.database.engine import open_engine
from backend.database.turns import alone
with alone(open_engine(sys.argv[1]), "sync") as mine:
    print(mine, flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/quality.sqlite3"
        return
    if server_program("initdb") is None:
        pytest.skip(MISSING)
    with postgres() as started:
        yield started


@contextmanager
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the turn."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_one_process_at_a_time_and_a_dead_one_s_turn_is_free(url: str) -> None:
    engine = open_engine(url)

    def is_free() -> bool:
        with alone(engine, "sync") as mine:
            return mine

    assert is_free()
    with holder(url) as process:
        assert not is_free()
        with alone(engine, "another") as mine:
            assert mine
        process.kill()
        wait_for(is_free, seconds=30)
    stop, got = threading.Event(), []

    def wait() -> None:
        with in_turn(engine, "sync", stop) as mine:
            got.append(mine)

    with alone(engine, "sync"):
        waiting = threading.Thread(target=wait)
        waiting.start()
    waiting.join(30)
    assert got == [True]
    with alone(engine, "sync"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        stop.set()
        waiting.join(30)
    assert got == [True, False]
    engine.dispose()
