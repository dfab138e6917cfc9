"""Profiles are kept, put in use and taken back; the version of the model follows."""

import json
from pathlib import Path

import pytest

from backend.prediction.profiles import SHIPPED, Profiles, profile_of, settings_of
from backend.settings import Settings
from backend.web.app import configured_model
from videogem.backbones.versions import planned_version
from videogem.confidence.model import Logistic, Scoring, is_calibrated
from videogem.confidence.profile import Profile
from videogem.errors import InputError

POINT = Logistic((("action",),), {"action": 0.1}, {"action": 0.2}, (1.0,), 0.5)


def profile(name: str = "kitchen", **fields: object) -> Profile:
    usual = {
        "name": name,
        "model": "demo",
        "method": "videogem",
        "settings": {"box_threshold": 0.6, "merge_weights": (0.1, 0.1, 0.8)},
        "scoring": Scoring(name, POINT, None),
        "made": {"corrections": 200},
    }
    return Profile(**(usual | fields))  # type: ignore[arg-type]


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    return Profiles(tmp_path)


def test_without_any_nothing_is_in_use(profiles: Profiles) -> None:
    assert profiles.in_use() is None
    assert profiles.names() == []
    with pytest.raises(InputError, match="nothing to undo"):
        profiles.undo()


def test_what_is_kept_is_in_use_and_is_read_the_same(profiles: Profiles, tmp_path: Path) -> None:
    profiles.keep(profile())
    assert Profiles(tmp_path).in_use() == profile()
    assert profiles.names() == ["kitchen"]


def test_one_step_back_and_any_by_name(profiles: Profiles) -> None:
    profiles.keep(profile("first"))
    profiles.keep(profile("second"))
    assert profiles.undo() == "first"
    current = profiles.in_use()
    assert current is not None and current.name == "first"
    profiles.use("second")
    profiles.use(SHIPPED)
    assert profiles.in_use() is None
    assert profiles.undo() == "second"
    assert (profiles.undo(), profiles.undo()) == ("first", SHIPPED)
    assert profiles.names() == ["first", "second"]  # undone, not lost


def test_a_name_is_not_written_over(profiles: Profiles) -> None:
    profiles.keep(profile())
    with pytest.raises(InputError, match="another --name"):
        profiles.keep(profile(settings={}))
    assert profiles.free_name("kitchen") == "kitchen-2"
    assert profiles.free_name("garden") == "garden"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "shipped", "a b", "x" * 65, "-x"])
def test_a_name_is_one_a_file_can_have(profiles: Profiles, name: str) -> None:
    with pytest.raises(InputError, match="A profile's name is"):
        profiles.use("") if name == "shipped" else profiles.get(name)
    with pytest.raises(InputError, match="A profile's name is"):
        profiles.keep(profile(name))


def test_one_that_is_not_there_or_damaged_is_told(profiles: Profiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no profile 'garden'; there are: shipped\."):
        profiles.use("garden")
    profiles.keep(profile())
    path = tmp_path / "profiles" / "kitchen.profile.json"
    path.write_text("{", "utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        profiles.in_use()
    path.write_text(json.dumps(profile(settings={"box_threshold": 7.0}).as_json()), "utf-8")
    with pytest.raises(InputError, match="box_threshold"):
        profiles.in_use()


def test_the_models_version_follows_the_profile_and_comes_back(
    profiles: Profiles, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    usual = configured_model(settings).version
    assert usual == planned_version("demo")
    profiles.keep(profile())
    own = configured_model(settings).version
    assert own != usual and is_calibrated(own)
    other = profile("other", scoring=Scoring("other", POINT, None))
    profiles.keep(other)
    assert configured_model(settings).version not in (own, usual)  # the score is part of it
    profiles.use("kitchen")
    assert configured_model(settings).version == own
    profiles.use(SHIPPED)
    assert configured_model(settings).version == usual


def test_a_profile_of_another_model_is_left_alone(
    profiles: Profiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profiles.keep(profile(model="demo-viclip"))
    assert profile_of(Settings(data_dir=tmp_path)) is None
    assert "is one of demo-viclip" in caplog.text
    assert settings_of(None) == {}
