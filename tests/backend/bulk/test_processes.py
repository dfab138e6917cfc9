"""Bulk runs in several processes: the same rows, whoever dies."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.bulk.local import ground_here
from backend.bulk.processes import DEATHS, DIED, GIVEN_UP, Place, ground_in_processes, places
from backend.bulk.units import Ask, Failure, Unit
from tests.bulk_models import FakeChoice
from videogem.errors import InputError

TWO = [Place(cores=1), Place(cores=1)]


@pytest.fixture
def units(tmp_path: Path) -> list[Unit]:
    """Three sentences in each of 50 images; one image is none."""
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    found = [
        Unit(str(path), (str(path),), tuple(Ask(f"{n}-{k}", f"cut {n} {k}") for k in range(3)))
        for n in range(50)
    ]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    return [*found, Unit(str(broken), (str(broken),), (Ask("broken", "cut it"),))]


def with_death(unit: Unit) -> Unit:
    return Unit(unit.source, unit.files, (*unit.asks, Ask(f"{unit.asks[0].id}-x", "die")))


def by_id(results: object) -> dict[str | None, object]:
    found = list(results)  # type: ignore[call-overload]
    ids = [one.id if isinstance(one, Failure) else one["id"] for one in found]
    assert max(Counter(ids).values()) == 1
    return dict(zip(ids, found, strict=True))


def test_the_rows_of_one_process(units: list[Unit]) -> None:
    choice = FakeChoice()
    found = by_id(ground_in_processes(units, choice, TWO))
    assert found == by_id(ground_here(units, choice.load()))
    assert len(found) == 151
    assert isinstance(found["broken"], Failure)


def test_only_what_kills_its_process_is_given_up(units: list[Unit]) -> None:
    units[20] = with_death(units[20])
    found: dict[str | None, object] = {}
    for one in ground_in_processes(units, FakeChoice(), TWO):
        found[one.id if isinstance(one, Failure) else one["id"]] = one
    failed = {key: one.reason for key, one in found.items() if isinstance(one, Failure)}
    assert failed.pop("20-0-x") == DIED
    assert list(failed) == ["broken"]
    assert len(found) == 152


def test_processes_that_die_without_end_end_the_run(units: list[Unit]) -> None:
    units = [with_death(unit) for unit in units[: DEATHS + 2]]
    results = list(ground_in_processes(units, FakeChoice(), TWO[:1]))
    reasons = Counter(one.reason for one in results if isinstance(one, Failure))
    assert reasons[DIED] == DEATHS
    assert reasons[GIVEN_UP]
    told = {one.id if isinstance(one, Failure) else one["id"] for one in results}
    assert told == {ask.id for unit in units for ask in unit.asks}


@pytest.mark.timeout(120)
def test_nobody_waits_for_a_process_that_leaves(units: list[Unit], tmp_path: Path) -> None:
    choice = FakeChoice(ends_with=tmp_path / "leave")
    found = []
    for one in ground_in_processes(units, choice, TWO):
        found.append(one)
        if len(found) == 151:
            (tmp_path / "leave").touch()
    assert len(by_id(found)) == 151


@pytest.mark.parametrize(("model", "said"), [("missing", "missing"), ("broken", "no kernel")])
def test_a_model_that_does_not_load_is_told(units: list[Unit], model: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        list(ground_in_processes(units, FakeChoice(model), TWO))


def test_places_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert places("cpu", 1, 3) == [Place(cores=2)] * 3
    with pytest.raises(InputError, match="counts GPUs"):
        places("cpu", 2, 1)


def test_places_are_on_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr("backend.bulk.processes.has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [place.gpu for place in places("auto", 2, 2)] == [0, 0, 1, 1]
    assert [place.gpu for place in places("cuda:1", 1, 2)] == [1, 1]
    with pytest.raises(InputError, match="2 GPUs"):
        places("cuda:1", 2, 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert places("auto", 1, 1)[0].gpu is None  # a driver without a GPU
