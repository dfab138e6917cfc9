"""Bulk annotation: does what is left, and says what failed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.connections import Connections
from backend.media.media import Media
from backend.prediction import annotate as module
from backend.prediction.annotate import Here, Tally, annotate
from backend.prediction.model import BackgroundModel, Models
from backend.settings import Settings
from tests.backend.prediction.test_batch import CONFIG, make_tasks
from tests.fake_label_studio import FakeLabelStudio, fake_label_studio
from tests.fakes import FakeGrounder


@pytest.fixture
def server() -> Iterator[FakeLabelStudio]:
    with fake_label_studio(CONFIG, make_tasks(130)) as fake:
        yield fake


def run(server: FakeLabelStudio, folder: Path, **options: Any) -> Tally:
    settings = Settings(data_dir=folder)
    return annotate(
        LabelStudio(server.url, SecretStr("t" * 40)),
        1,
        predictor=Here(
            Models(BackgroundModel.of(FakeGrounder())), Media(settings, Connections(settings))
        ),
        record=lambda key, pairs: None,
        **options,
    )


def test_every_task_once_and_nothing_twice(server: FakeLabelStudio, tmp_path: Path) -> None:
    assert run(server, tmp_path).done == 130
    again = run(server, tmp_path)
    assert (again.done, again.skipped) == (0, 130)
    assert set(server.count().values()) == {1}


def test_many_are_saved_with_one_request(
    server: FakeLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHORTEST_GAP", 600.0)  # however slow the machine
    assert run(server, tmp_path).done == 130
    saved = [
        len(request.body)
        for request in server.server.requests
        if request.path == "/api/projects/1/import/predictions"
    ]
    assert saved == [130]


def test_a_run_that_broke_off_is_taken_up(
    server: FakeLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Exception):
        pass

    def report(tally: Tally) -> None:
        if tally.done >= 20:
            raise Broken

    monkeypatch.setattr(module, "SAVED_TOGETHER", 20)
    with pytest.raises(Broken):
        run(server, tmp_path, report=report)
    left = 130 - len(server.predictions)
    assert 0 < left < 130
    assert run(server, tmp_path).done == left
    assert set(server.count().values()) == {1}


def test_dry_run_changes_nothing(server: FakeLabelStudio, tmp_path: Path) -> None:
    tally = run(server, tmp_path, dry_run=True)
    assert (tally.done, tally.total, server.predictions) == (130, 130, [])


def test_limit_and_overwrite(server: FakeLabelStudio, tmp_path: Path) -> None:
    assert run(server, tmp_path, limit=10).done == 10
    first = {one["id"] for one in server.predictions}
    assert run(server, tmp_path, limit=20, overwrite=True).done == 20
    assert first.isdisjoint(one["id"] for one in server.predictions)
    assert sorted(server.count().values())[-20:] == [1] * 20


def test_failures_are_told_task_by_task(server: FakeLabelStudio, tmp_path: Path) -> None:
    server.tasks[3]["data"]["t"] = ""
    tally = run(server, tmp_path)
    assert (tally.done, [task for task, _ in tally.failures]) == (129, [4])


def test_label_studio_that_is_down_ends_the_run(server: FakeLabelStudio, tmp_path: Path) -> None:
    server.down = True
    with pytest.raises(LabelStudioError, match="503"):
        run(server, tmp_path, limit=1)
