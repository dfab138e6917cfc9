"""Every architecture that is accepted, as a small random copy, against open_clip's own answers."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videogem.backbones.architectures import (
    PLAIN_TIMM_TOWERS,
    needs_transformers,
    patch_size,
    why_unreadable,
)
from videogem.backbones.families.open_clip import build_model
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.timm_towers import TimmBackbone
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

DEPTH, SIDE, VOCABULARY = 7, 4, 1000  # blocks, patches on a side, words


def accepted() -> Iterator[str]:
    for name in open_clip.list_models():
        if why_unreadable(open_clip.get_model_config(name)) is None:
            yield name


ACCEPTED = sorted(accepted())


class FakeTextEncoder(nn.Module):
    """Stands for the text towers that transformers would fetch: a mean of embeddings."""

    def __init__(self, *_: Any, output_dim: int, output_tokens: bool, **__: Any) -> None:
        super().__init__()
        self.output_tokens = output_tokens
        self.context_length, self.vocab_size = 77, VOCABULARY
        self.table = nn.Embedding(VOCABULARY, output_dim)

    def forward(self, tokens: Tensor) -> Any:
        states = self.table(tokens)
        pooled = states.mean(dim=1)
        return (pooled, states) if self.output_tokens else pooled


def shrunk(name: str) -> dict[str, Any]:
    """An architecture's config with fewer, narrower layers and a smaller input."""
    config = deepcopy(open_clip.get_model_config(name))
    vision, text = config["vision_cfg"], config["text_cfg"]
    vision["image_size"] = SIDE * patch_size(config)
    if "timm_model_name" not in vision:
        vision |= {"layers": DEPTH, "width": 64, "head_width": 16}
    text |= {"width": 32, "heads": 2, "layers": 2, "vocab_size": VOCABULARY}
    if "multimodal_cfg" in config:
        config["multimodal_cfg"] |= {"width": 32, "heads": 2, "layers": 1}
    return config


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that a config cannot make smaller."""
    monkeypatch.setattr(open_clip.model, "HFTextEncoder", FakeTextEncoder)
    create = timm.create_model

    def create_small(name: str, **options: Any) -> nn.Module:
        # The convolutions before MobileCLIP's patches have a width of their own.
        width = {"embed_dim": 64, "num_heads": 4} if "mci" not in name else {"mlp_ratio": 0.1}
        size = SIDE * PLAIN_TIMM_TOWERS[name]
        return create(name, **options, depth=DEPTH, img_size=size, **width)

    monkeypatch.setattr(timm, "create_model", create_small)


def token_ids(config: dict[str, Any], length: int) -> Tensor:
    """Texts of several lengths as a tokenizer gives them: words, an end, padding."""
    text = config["text_cfg"]
    end = text.get("eos_id", 2) if text.get("pool_type") == "eos" else VOCABULARY - 1
    tokens = torch.full((3, length), text.get("pad_id", 0))
    for row, words in enumerate((2, 5, 9)):
        tokens[row, 0] = VOCABULARY - 2 if end == VOCABULARY - 1 else 0
        tokens[row, 1 : 1 + words] = torch.randint(10, VOCABULARY - 10, (words,))
        tokens[row, 1 + words] = end
    return tokens


def check(config: dict[str, Any], name: str) -> None:
    torch.manual_seed(0)
    model: Any = build_model(deepcopy(config)).eval()
    with torch.no_grad():
        for parameter in model.visual.parameters():  # positions and biases may begin at zero
            parameter.add_(0.02 * torch.randn_like(parameter))
    kind = TimmBackbone if "timm_model_name" in config["vision_cfg"] else OpenCLIPBackbone
    backbone = kind(model, lambda texts: texts, name=name)
    assert backbone.patch_size == patch_size(config)
    pixels = torch.randn(2, 3, backbone.image_size, backbone.image_size)
    tokens = token_ids(config, config["text_cfg"].get("context_length", 77))
    settings = AttentionSettings(depth=min(DEPTH, backbone.num_blocks), baselines=True)
    with torch.inference_mode():
        image = F.normalize(model.encode_image(pixels), dim=-1)
        text = F.normalize(model.encode_text(tokens), dim=-1)
    encoded = backbone.encode_frames(pixels, settings)
    rows, columns, _ = encoded.grid
    assert encoded.class_path.shape[0] == settings.depth + 1
    assert encoded.output is not None and encoded.output.shape[1] == 1 + rows * columns
    found = F.normalize(backbone.project(encoded.class_path[-1]), dim=-1)
    torch.testing.assert_close(found, image, atol=1e-5, rtol=1e-4)
    found = F.normalize(backbone.encode_tokens(tokens), dim=-1)
    torch.testing.assert_close(found, text, atol=1e-5, rtol=1e-4)
    wider = backbone.patch_size * (rows + 1)
    other = kind(model, lambda texts: texts, name=name, image_size=wider)
    frame = Clip.from_image(np.zeros((20, 30, 3), np.uint8))
    assert other.encode_frames(other.preprocess([frame]), settings).grid[0] == rows + 1
    assert other.fingerprint != backbone.fingerprint


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_walk_is_encode_image_and_encode_text(small_parts: None, name: str) -> None:
    check(shrunk(name), name)


@pytest.mark.soak
@pytest.mark.parametrize("name", ACCEPTED)
def test_the_walk_is_encode_image_and_encode_text_at_full_size(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = open_clip.get_model_config(name)
    if config["vision_cfg"].get("width", 768) > 1408:
        pytest.skip("needs more memory than a test may ask for")
    config["text_cfg"]["vocab_size"] = VOCABULARY
    monkeypatch.setattr(open_clip.model, "HFTextEncoder", FakeTextEncoder)
    check(config, name)


def test_what_is_accepted_is_what_is_told() -> None:
    assert {"ViT-B-16", "coca_base", "xlm-roberta-base-ViT-B-32"} <= {*ACCEPTED}
    assert {"EVA01-g-14", "MobileCLIP-B", "MobileCLIP2-B", "MobileCLIP2-L-14"} <= {*ACCEPTED}
    assert not {"RN50", "ViT-B-16-SigLIP", "coca_ViT-L-14", "EVA02-B-16"} & {*ACCEPTED}
    need = [name for name in ACCEPTED if needs_transformers(open_clip.get_model_config(name))]
    assert len(need) == 15
