"""`videogem calibrate` from a file: proof before anything is kept, and one command back."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.prediction.profiles import Profiles
from backend.settings import Settings
from backend.web.app import configured_model
from benchmarks.confidence.groundings import drawn
from tests.backend.commands.conftest import Run
from videogem.calibration import candidates
from videogem.grounding import load_grounder
from videogem.structures import Clip


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(folder))
    return folder


def write_lines(folder: Path, num_scenes: int, threshold: float) -> Path:
    """Scenes whose true boxes are what the method gives at a threshold that is not the usual."""
    grounder = load_grounder("demo", box_threshold=threshold)
    lines = []
    for frame in drawn("unseen-pairs", num_scenes, 3):
        name = f"{frame.name}.png"
        Image.fromarray(frame.image).save(folder / name)
        for found in grounder.ground(Clip.from_image(frame.image), frame.said):
            box = (np.array(found.box) * 224).tolist()
            lines.append({"image": name, "narration": found.narration, "boxes": [box]})
    path = folder / "corrections.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_a_gain_is_shown_kept_and_taken_back(
    run: Run, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without other layers: a sixth of the time; tests of the candidates have them all.
    monkeypatch.setattr(candidates, "LAYERS", candidates.LAYERS[:1])
    path = write_lines(tmp_path, 30, threshold=0.7)
    before = configured_model(Settings(data_dir=data_dir)).version
    tried = run("calibrate", "--data", path, "--dry-run")
    assert tried.code == 0, tried.err
    assert "box_threshold = 0.7" in tried.out
    assert "Nothing is kept" in tried.out
    assert configured_model(Settings(data_dir=data_dir)).version == before
    done = run("calibrate", "--data", path, "--name", "mine")
    assert done.code == 0, done.err
    assert "on videos held out" in done.out
    kept = Profiles(data_dir).in_use()
    assert kept is not None and kept.settings["box_threshold"] == 0.7
    assert configured_model(Settings(data_dir=data_dir)).version != before
    assert "mine  (in use)" in run("calibrate", "--list").out
    assert "In use: shipped" in run("calibrate", "--undo").out
    assert configured_model(Settings(data_dir=data_dir)).version == before
    assert run("calibrate", "--use", "mine").code == 0
    assert configured_model(Settings(data_dir=data_dir)).version != before


def test_too_little_is_refused_with_the_reason(run: Run, tmp_path: Path, data_dir: Path) -> None:
    done = run("calibrate", "--data", write_lines(tmp_path, 3, threshold=0.7))
    assert done.code == 1
    assert "too few: at least 50 of 10 videos are needed" in done.out
    assert Profiles(data_dir).names() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Give one of --project, --data"),
        (("--undo", "--list"), "Give one of --project, --data"),
        (("--undo",), "nothing to undo"),
        (("--use", "garden"), "There is no profile 'garden'"),
        (("--data", "nowhere.jsonl"), "There is no file 'nowhere.jsonl'"),
    ],
)
def test_what_cannot_be_meant_is_told(
    run: Run, data_dir: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = run("calibrate", *arguments)
    assert done.code == 2
    assert told in done.err
    assert "Traceback" not in done.err
