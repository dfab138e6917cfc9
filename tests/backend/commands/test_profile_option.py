"""The profile in use is that of the backend and of every command that points at things."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.prediction.profiles import SHIPPED, Profiles
from backend.settings import Settings
from backend.web.app import configured_model
from tests.backend.commands.conftest import Run
from videogem.backbones.versions import planned_version
from videogem.confidence.model import Logistic, Scoring
from videogem.confidence.profile import Profile

POINT = Logistic((("action",),), {"action": 0.1}, {"action": 0.2}, (1.0,), 0.5)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A data folder whose profile 'mine' is in use."""
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(tmp_path / "data"))
    found = Settings(data_dir=tmp_path / "data")
    mine = Profile("mine", "demo", "videogem", {"box_threshold": 0.7}, Scoring("mine", POINT, None))
    Profiles(found.data_dir).keep(mine)
    return found


@pytest.fixture
def picture(tmp_path: Path, random_frame: np.ndarray) -> Path:
    path = tmp_path / "kitchen.png"
    Image.fromarray(random_frame).save(path)
    return path


def grounded(run: Run, picture: Path, *options: str) -> dict[str, object]:
    done = run("ground", picture, "--narration", "cut the tomato", "--json", *options)
    assert done.code == 0, done.err
    found: dict[str, object] = json.loads(done.out)
    return found


def test_ground_answers_as_the_backend_does(run: Run, picture: Path, settings: Settings) -> None:
    found = grounded(run, picture)
    assert found["model_version"] == configured_model(settings).version
    assert found["scoring"] == "mine"
    assert found["model_version"] != planned_version("demo")
    assert grounded(run, picture, "--profile", SHIPPED)["model_version"] == planned_version("demo")
    Profiles(settings.data_dir).use(SHIPPED)
    assert grounded(run, picture)["model_version"] == planned_version("demo")
    assert grounded(run, picture, "--profile", "mine") == found


def test_rows_have_the_version_of_the_backend(
    run: Run, picture: Path, settings: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    assert run("predict", picture, "--narration", "cut the tomato", "--out", out).code == 0
    [row] = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert row["model_version"] == configured_model(settings).version
    assert row["scoring"] == "mine"


@pytest.mark.parametrize("options", [("--weights", "static"), ("--merge", "maps")])
def test_a_score_is_not_taken_for_settings_that_it_was_not_fitted_for(
    run: Run, picture: Path, settings: Settings, options: tuple[str, str]
) -> None:
    with_profile = grounded(run, picture, *options)
    Profiles(settings.data_dir).use(SHIPPED)
    assert with_profile == grounded(run, picture, *options)
    asked = run("ground", picture, "--narration", "cut", "--profile", "mine", *options)
    assert asked.code == 2
    assert f"was not fitted for {options[0]}" in asked.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--profile", "garden"), "There is no profile 'garden'"),
        (("--profile", "mine", "--model", "demo-viclip"), "is one of demo with videogem, not of"),
        (("--profile", "mine", "--image-size", "448"), "was not fitted for --image-size"),
    ],
)
@pytest.mark.parametrize("command", ["ground", "predict"])
def test_a_profile_that_cannot_be_meant_is_told(
    run: Run,
    picture: Path,
    settings: Settings,
    command: str,
    options: tuple[str, ...],
    told: str,
    tmp_path: Path,
) -> None:
    out = ("--out", str(tmp_path / "rows.jsonl")) if command == "predict" else ()
    done = run(command, picture, "--narration", "cut", *out, *options)
    assert done.code == 2
    assert told in done.err.replace("\n", " ")
