import json
from pathlib import Path

import pytest
from huggingface_hub import constants
from safetensors.torch import save_file

from tests.towers import TINY_CONFIG, tiny_clip


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small checkpoint with its config beside it."""
    (tmp_path / "model_config.json").write_text(json.dumps(TINY_CONFIG))
    path = tmp_path / "model.safetensors"
    save_file(tiny_clip().state_dict(), path)
    return path
