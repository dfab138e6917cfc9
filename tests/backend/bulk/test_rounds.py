"""The bounds of a run on Ray, with what Ray does played by the test; `make soak` has real nodes."""

import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray
from typer.testing import CliRunner

from backend.bulk import on_ray, ray_start
from backend.bulk.on_ray import spread
from backend.bulk.ray_start import Cluster
from backend.cli import app
from tests.ray_jobs import Doubling
from videogem.errors import InputError

Items = Sequence[Any]
Play = Callable[[int, Items], Iterator[int | Exception]]  # round, items: places that arrive


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Play], list[Items]]:
    """Say which items of a round arrive; the rest is lost. Gives the items of each round."""

    def begin(which: Play) -> list[Items]:
        rounds: list[Items] = []

        def dataset(items: Items, job: Doubling, *_: Any, **__: Any) -> Iterator[pa.Table]:
            rounds.append(items)
            model = on_ray._Model(job)
            for one in which(len(rounds), items):
                if isinstance(one, Exception):
                    raise one
                data = pa.array([pickle.dumps(items[one])], pa.large_binary())
                table = pa.table({"key": pa.array([one]), "data": data})
                yield model(on_ray._read(table, job))

        monkeypatch.setattr(on_ray, "connected", lambda cluster: nullcontext())
        monkeypatch.setattr(on_ray, "_prepared", lambda job, cluster: job)
        monkeypatch.setattr(on_ray, "_dataset", dataset)
        monkeypatch.setattr(on_ray, "ENDED_WITHIN", 0.1)
        return rounds

    return begin


def numbers(*items: Sequence[int], **fates: str) -> list[Any]:
    return [tuple((number, fates.get(f"n{number}", "")) for number in item) for item in items]


def test_what_a_round_loses_is_asked_again_in_its_parts(
    play: Callable[[Play], list[Items]], tmp_path: Path
) -> None:
    rounds = play(lambda number, items: iter([0, 2] if number == 1 else range(len(items))))
    items = numbers([0, 1], [2, 3, 4], [5])
    found = list(spread(items, Doubling(tmp_path), Cluster()))
    assert sorted(found) == [(n, 2 * n) for n in range(6)]
    assert rounds == [items, numbers([2], [3], [4])]


def test_what_always_kills_its_worker_is_given_up(
    play: Callable[[Play], list[Items]], tmp_path: Path
) -> None:
    def which(number: int, items: Items) -> Iterator[int]:
        return (place for place, item in enumerate(items) if all(n != 3 for n, _ in item))

    rounds = play(which)
    found = dict(spread(numbers([0, 1], [2, 3, 4]), Doubling(tmp_path), Cluster()))
    assert found.pop(3).startswith("The worker that had it died, 3 times")
    assert found == {n: 2 * n for n in (0, 1, 2, 4)}
    assert [len(items) for items in rounds] == [2, 3, 1]


def test_a_round_that_ray_breaks_off_keeps_what_came(
    play: Callable[[Play], list[Items]], tmp_path: Path
) -> None:
    def which(number: int, items: Items) -> Iterator[int | Exception]:
        yield 0
        if number == 1:
            yield ray.exceptions.RayError("nodes are gone")
        yield from range(1, len(items))

    rounds = play(which)
    found = list(spread(numbers([0], [1], [2]), Doubling(tmp_path), Cluster()))
    assert sorted(found) == [(0, 0), (1, 2), (2, 4)]
    assert len(rounds) == 2


def test_an_item_that_arrives_twice_counts_once(
    play: Callable[[Play], list[Items]], tmp_path: Path
) -> None:
    play(lambda number, items: iter([0, 0, 1]))
    found = list(spread(numbers([0], [1]), Doubling(tmp_path), Cluster()))
    assert found == [(0, 0), (1, 2)]


def test_work_that_raises_is_told_at_once_and_alone(
    play: Callable[[Play], list[Items]], tmp_path: Path
) -> None:
    rounds = play(lambda number, items: iter(range(len(items))))
    job = Doubling(tmp_path)
    items = numbers([0], [1, 2], [3], [4], n1="breaks", n3="breaks its reader")
    found = dict(spread(items, job, Cluster()))
    assert (found[0], found[4]) == (0, 8)
    assert found[1] == found[2] == "Defect in the backend (ZeroDivisionError: while working)."
    assert found[3] == "Defect in the backend (ZeroDivisionError: while reading)."
    assert len(rounds) == 1
    assert (job.tries(1), job.tries(3, "read")) == (2, 1)  # with its batch, and alone


def test_one_that_breaks_takes_no_other_of_its_batch_along(tmp_path: Path) -> None:
    job = Doubling(tmp_path)
    items = numbers([0], [1], [2], n1="breaks")
    data = pa.array([pickle.dumps(item) for item in items], pa.large_binary())
    table = on_ray._Model(job)(pa.table({"key": pa.array([5, 6, 7]), "data": data}))
    first, second, third = (pickle.loads(data) for data in table["data"].to_pylist())
    assert (first, third) == ([(0, 0)], [(2, 4)])
    assert isinstance(second, on_ray._Defect)


def test_a_cluster_that_does_nothing_is_not_waited_for_for_ever(
    play: Callable[[Play], list[Items]], tmp_path: Path
) -> None:
    stuck = threading.Event()

    def which(number: int, items: Items) -> Iterator[int]:
        if number == 1:
            yield 0
        stuck.wait(60)

    rounds = play(which)
    found = []
    with pytest.raises(InputError, match="gave no result for 3 s"):
        for one in spread(numbers([0], [1]), Doubling(tmp_path), Cluster(patience=3.0)):
            found.append(one)
    stuck.set()
    assert found == [(0, 0)]
    assert len(rounds) == 2  # one more chance for what was under way


@pytest.mark.parametrize("num_late", [2, 3])
def test_a_start_that_comes_too_late_is_tried_again_three_times_in_all(
    num_late: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def init(*_: Any, **__: Any) -> None:
        started.append("init")
        if started.count("init") <= num_late:
            raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: started.append("shutdown"))
    if num_late == 3:
        with pytest.raises(InputError, match=r"timed out during startup.*tried 3 times"):
            next(spread(numbers([0]), Doubling(tmp_path), Cluster()))
        assert started == ["init", "shutdown"] * 3
    else:
        with ray_start.connected(Cluster()):
            assert started == ["init", "shutdown"] * 2 + ["init"]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "auto"])
def test_a_cluster_that_is_not_there_is_told_at_once(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # what `auto` means then
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("it would try for 14 minutes"))
    with pytest.raises(InputError, match=f"The Ray cluster at '{re.escape(address)}' cannot be"):
        next(spread(numbers([0]), Doubling(tmp_path), Cluster(address)))


def test_without_an_address_the_machine_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    asked: list[Any] = []
    monkeypatch.setattr(ray, "init", lambda *given, **_: asked.extend(given))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with ray_start.connected(Cluster()):
        assert asked == ["local"]


def test_without_the_extra_one_sentence_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    given = ["predict", str(tmp_path), "--out", str(tmp_path / "r.jsonl"), "--engine", "ray"]
    result = CliRunner().invoke(app, given)
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == ray_start.EXTRA
    assert "pip install 'videogem-label-studio[ray]'" in ray_start.EXTRA


def test_ray_is_imported_by_nobody_who_does_not_ask_for_it() -> None:
    code = (
        "import importlib, pkgutil, sys, backend.bulk, backend.commands\n"
        "for room in (backend.bulk, backend.commands):\n"
        "    for module in pkgutil.iter_modules(room.__path__, room.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "import backend.cli\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('ray', 'pyarrow')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--engine", "spark"), "--engine must be one of local, ray, got 'spark'"),
        (("--address", "auto"), "--address belongs to --engine ray"),
    ],
)
def test_engines_that_are_none(tmp_path: Path, given: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, ["predict", ".", "--out", str(tmp_path / "r.jsonl"), *given])
    assert isinstance(result.exception, InputError)
    assert told in str(result.exception)
