"""What a worker of a cluster reads: files by whole paths, named as the command was given them."""

import platform
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.bulk import on_ray
from backend.bulk.grounding import GroundingJob, sent_from
from backend.bulk.models import ModelChoice
from backend.bulk.rows import Read
from backend.bulk.units import Ask, Failure, Unit, units_of
from backend.cli import app
from backend.commands.support.bulk_sources import Wanted, find_units

JOB = GroundingJob(ModelChoice())


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of two pictures, from the folder that a command is called in."""
    (tmp_path / "here/frames").mkdir(parents=True)
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("a", "b"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(f"frames/{name}.png")
    return ["frames/a.png", "frames/b.png"]


def sources(read: list[Read | Failure]) -> list[str]:
    assert all(isinstance(one, Read) for one in read), read
    return [one.source for one in read]


def test_workers_in_other_folders_find_relative_sources(
    frames: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = units_of(frames[0], [Ask("1", "cut", item_index=1)], frames)
    whole = units_of(str(tmp_path / "here" / frames[0]), [Ask("2", "cut")])
    given = [*find_units([Path("frames")], Wanted(narration="cut")), *listed, *whole]
    sent = sent_from(Path(), [unit for unit in given if isinstance(unit, Unit)])
    monkeypatch.chdir(tmp_path / "worker")
    found = [sources(JOB.read(unit)) for unit in sent]
    assert found == [[frames[0]], [frames[1]], [frames[1]], [whole[0].source]]


def test_a_machine_that_has_no_such_file_is_named(frames: list[str], tmp_path: Path) -> None:
    [unit] = units_of(frames[0], [Ask("1", "cut"), Ask("2", "stir")], [*frames, "frames/c.png"])
    [sent] = sent_from(tmp_path / "here", [unit])
    first, second = JOB.read(sent)
    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    assert (first.source, first.id, second.id) == (frames[0], "1", "2")
    missing = tmp_path / "here/frames/c.png"
    assert first.reason == second.reason
    assert first.reason.startswith(f"The machine '{platform.node()}' has no file '{missing}'")
    assert "the same path on every machine" in first.reason


def test_the_command_sends_its_folder_along(
    frames: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Unit] = []
    monkeypatch.setattr(on_ray, "spread", lambda units, *_, **__: sent.extend(units) or iter(()))
    given = ["predict", "frames", "--narration", "cut", "--out", "r.jsonl", "--engine", "ray"]
    CliRunner().invoke(app, given)
    assert [unit.source for unit in sent] == frames
    assert {unit.folder for unit in sent} == {str(Path.cwd())}
