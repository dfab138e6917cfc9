"""An upgrade of an old store that is killed at any moment: it starts again and holds everything."""

import itertools
import json
import multiprocessing
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import migrate, open_engine
from backend.qa.queries import summary
from backend.qa.store import Store
from tests.postgres import MISSING, postgres, server_program
from tests.qa_events import annotation, box, point, prediction

ROWS = 200  # tasks, each with an annotation and a prediction
KILLS = [3, pytest.param(20, marks=pytest.mark.soak)]
FORKS = multiprocessing.get_context("forkserver")
Restore = Callable[[], str]


def make_old(url: str) -> None:
    """A store of the first revision, with corrections in it."""
    engine = open_engine(url)
    migrate(engine, "0001")
    guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=70)
    made = annotation(5, [point(30, 30), box(20, 20, 20, 20)], task=5, parent_prediction=70)
    rows = {
        "tasks": {"project_id": 1, "data": "{}", "version": "1"},
        "annotations": {
            "project_id": 1, "result": json.dumps(made["result"]), "was_cancelled": False,
            "ground_truth": False, "annotator": 3, "lead_time": 2.5, "created_at": "2026-01-01",
            "version": "2026-01-02 0",
        },
        "predictions": {
            "project_id": 1, "model_version": "m", "score": 0.5,
            "result": json.dumps(guess["result"]), "created_at": "2026-01-01",
        },
        "inbox": {"received_at": "2026-01-01", "action": "X", "payload": "{}"},
    }  # fmt: skip
    own = {
        "tasks": lambda n: {"id": n},
        "annotations": lambda n: {"id": n, "task_id": n, "parent_prediction": n},
        "predictions": lambda n: {"key": f"ls-{n}", "label_studio_id": n, "task_id": n},
        "inbox": lambda n: {},
    }
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        for table, row in rows.items():
            some = [{**row, **own[table](n)} for n in range(1, ROWS + 1)]
            names, values = ", ".join(some[0]), ", ".join(f":{name}" for name in some[0])
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), some)
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Restore:
    """Makes the old store anew and gives its URL."""
    make_old(f"sqlite:///{tmp_path}/old.db")

    def restore() -> str:
        for path in tmp_path.glob("qa.db*"):
            path.unlink()
        shutil.copy(tmp_path / "old.db", tmp_path / "qa.db")
        return f"sqlite:///{tmp_path}/qa.db"

    return restore


@pytest.fixture
def postgresql() -> Iterator[Restore]:
    if server_program("initdb") is None:
        pytest.skip(MISSING)
    with postgres() as url:
        make_old(url)
        numbers = itertools.count()

        def restore() -> str:
            name = f"copy{next(numbers)}"
            engine = open_engine(url.removesuffix("postgres") + "template1")
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE postgres"))
            engine.dispose()
            return url.removesuffix("postgres") + name

        yield restore


def upgrade(url: str, begun: "multiprocessing.synchronize.Event") -> None:
    """What the start of a backend does."""
    begun.set()
    Store(url).close()


def run_upgrade(url: str, seconds: float | None) -> float | None:
    """Upgrade in a process of its own, killed after so long; None if it was, else how long."""
    begun = FORKS.Event()
    process = FORKS.Process(target=upgrade, args=(url, begun))
    process.start()
    assert begun.wait(120)
    start = time.monotonic()
    process.join(seconds)
    took = time.monotonic() - start
    if process.is_alive():
        process.kill()
        process.join()
        return None
    assert process.exitcode == 0
    return took


def held(url: str) -> dict[str, int]:
    """How much of everything is there, and what the figures say."""
    store = Store(url)
    store.process_pending()
    with store.read() as connection:
        found = {
            name: connection.execute(
                sa.select(sa.func.count()).select_from(schema.metadata.tables[name])
            ).scalar_one()
            for name in ("tasks", "annotations", "predictions", "inbox", "scores")
        }
    found["hits"] = summary(store)["hits"]
    store.close()
    return found


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_an_upgrade_that_is_killed(
    request: pytest.FixtureRequest, database: str, kills: int
) -> None:
    restore: Restore = request.getfixturevalue(database)
    # What is loaded before the first change takes longer than the changes: kills shall meet these.
    FORKS.set_forkserver_preload(["backend.qa.store", "spacy"])
    url = restore()
    whole = run_upgrade(url, None)
    assert whole is not None
    expected = held(url)
    assert (expected["tasks"], expected["annotations"], expected["hits"]) == (ROWS, ROWS, ROWS)
    chance = random.Random(5)
    killed, url = 0, restore()
    for _ in range(10 * kills):
        if run_upgrade(url, chance.uniform(0, whole)) is None:
            killed += 1
        else:  # it came to its end: the next one begins anew
            assert held(url) == expected
            url = restore()
        if killed == kills:
            break
    assert killed == kills
    assert held(url) == expected


def test_an_upgrade_does_not_go_through_a_product_of_tables_for_each_task(
    postgresql: Restore,
) -> None:
    """PostgreSQL knows nothing of tables that were just filled, and keeps plans made for those."""
    url = postgresql()
    Store(url).close()
    query = sa.text(
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
    )
    engine = open_engine(url)
    with engine.connect() as connection:
        read = connection.execute(query).scalar_one()
    engine.dispose()
    assert 10 * ROWS < read < 20 * ROWS**2  # some tables as a whole for each task are bearable
