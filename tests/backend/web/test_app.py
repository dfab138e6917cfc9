"""Models of a process: what they are called, whatever happens to their files."""

from pathlib import Path

import pytest

from backend.prediction.model import BackgroundModel, ModelNotReadyError
from backend.settings import Settings
from backend.web.app import configured_model, project_models
from tests.fakes import FakeGrounder


def test_another_method_on_loaded_weights_keeps_their_version_when_the_file_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"first")
    settings = Settings(model=str(path), data_dir=tmp_path)
    default = configured_model(settings)
    make = project_models(settings, default)
    before = make(None, "gem").version
    path.write_bytes(b"other")
    assert make(None, "gem").version == before
    assert make(None, None) is default
    assert configured_model(settings).version != default.version  # after the next start


def test_weights_that_changed_while_loading_are_told() -> None:
    model = BackgroundModel("announced-1", lambda: FakeGrounder(version="loaded-2"))
    with pytest.raises(ModelNotReadyError, match="announced-1 was announced, loaded-2 was loaded"):
        model.get(timeout=10)
