"""Models of a process: what they are called, whatever happens to their files."""

import threading
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch

from backend.labeling import validation
from backend.prediction import runner
from backend.prediction.model import BackgroundModel, ModelNotReadyError
from backend.settings import Settings
from backend.web.app import configured_model, create_app, project_models
from tests.fakes import FakeGrounder
from videogem import __version__
from videogem.backbones.versions import planned_version
from videogem.grounding import VideoGEM
from videogem.method.signals import NEUTRAL_PROMPTS
from videogem.structures import Clip


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


def test_precision_and_compiling_are_in_the_version_and_reach_the_tower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(dtype="bfloat16", compile="on", device="cpu", data_dir=tmp_path)
    started: list[VideoGEM] = []
    monkeypatch.setattr(VideoGEM, "compile_soon", lambda self: started.append(self))
    model = configured_model(settings)
    assert model.version.startswith(f"videogem-{__version__}/demo+bf16+compiled/")
    assert "+bf16+compiled" in project_models(settings, model)(None, "gem").version
    grounder = model.get(timeout=120)
    assert isinstance(grounder, VideoGEM)
    pixels = grounder.backbone.preprocess([Clip.from_image(np.zeros((8, 8, 3), np.uint8))])
    tokens = grounder.backbone.encode_frames(pixels, grounder.settings.attention)
    assert tokens.terms.dtype == torch.bfloat16
    assert started == [grounder]
    plain = Settings(device="cpu", data_dir=tmp_path)
    assert configured_model(plain).version == planned_version()  # as it ever was on a CPU


@pytest.mark.parametrize("weights", [None, "demo-viclip"])
def test_a_loaded_model_knows_the_neutral_prompts_of_the_score(
    tmp_path: Path, weights: str | None
) -> None:
    """So its first sentence costs what the next ones do, whoever chose the model."""
    settings = Settings(device="cpu", data_dir=tmp_path, project_models=("demo-viclip",))
    grounder = project_models(settings, configured_model(settings))(weights, None).get(timeout=120)
    assert isinstance(grounder, VideoGEM)
    encoded = Mock(side_effect=AssertionError("a text is encoded"))
    with patch.object(type(grounder.backbone), "encode_tokens", encoded):
        assert len(grounder.backbone.encode_texts(NEUTRAL_PROMPTS)) == len(NEUTRAL_PROMPTS)


def test_the_sdk_is_imported_when_the_model_needs_the_processor_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, imported = threading.Event(), threading.Event()

    def load() -> FakeGrounder:
        loaded.wait(60)
        return FakeGrounder()

    monkeypatch.setattr(validation, "warm_up", imported.set)
    monkeypatch.setattr(runner, "warm_up", imported.set)
    app = create_app(Settings(data_dir=tmp_path), BackgroundModel("fake-1", load))
    try:
        assert not imported.wait(1.5)
        loaded.set()
        assert imported.wait(60)
    finally:
        loaded.set()
        app.extensions["videogem"].close()
