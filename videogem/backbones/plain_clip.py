"""CLIP's two towers as OpenAI published them, with open_clip's names for their parts.

open_clip builds the same model. Importing it takes two seconds, most of them for towers of other
families (torchvision's detectors, timm, and through them torch's compiler), so what most weights
need is written out here: pre-norm residual blocks, a class token, a causal text tower. The state
dict's keys are those of open_clip; `tests/videogem/backbones/test_plain_clip.py` holds that outputs
are equal to the last bit.

Source: Radford et al., ICML 2021, section 2.4; open_clip 3.3, ``model.CLIP``.
"""

import importlib.util
from collections import OrderedDict
from collections.abc import Mapping
from copy import copy
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

CONTEXT_LENGTH = 77
VOCABULARY = 49408
_VISION = {"image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio"}
_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}
_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether an open_clip config asks for no more than `PlainCLIP` has.

    >>> sizes = {"layers": 12, "width": 768, "patch_size": 16}
    >>> is_plain({"embed_dim": 512, "vision_cfg": sizes, "text_cfg": {"width": 512}})
    True
    >>> is_plain({"embed_dim": 512, "vision_cfg": sizes | {"qk_norm": True}, "text_cfg": {}})
    False
    """
    vision, text = config["vision_cfg"], config["text_cfg"]
    return (
        config.keys() <= _MODEL
        and vision.keys() <= _VISION
        and text.keys() <= _TEXT
        and all(isinstance(vision.get(key, 1), int) for key in ("image_size", "patch_size"))
        and isinstance(vision.get("layers", 1), int)
    )


class QuickGELU(nn.Module):
    """OpenAI's approximation of GELU."""

    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(1.702 * values)


class ResidualBlock(nn.Module):
    """Attention and a perceptron, each after a layer norm and added to its input."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, gelu: type[nn.Module]) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ls_1 = nn.Identity()
        self.ln_2 = nn.LayerNorm(width)
        hidden = int(width * mlp_ratio)
        parts = {
            "c_fc": nn.Linear(width, hidden), "gelu": gelu(), "c_proj": nn.Linear(hidden, width)
        }  # fmt: skip
        self.mlp = nn.Sequential(OrderedDict(parts))
        self.ls_2 = nn.Identity()

    def forward(
        self, tokens: Float[Tensor, "B N D"], attn_mask: Float[Tensor, "N N"] | None = None
    ) -> Float[Tensor, "B N D"]:
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(
            normed, normed, normed, need_weights=False, attn_mask=attn_mask
        )[0]  # fmt: skip
        mlp: Tensor = self.mlp(self.ln_2(tokens))
        return tokens + mlp


class Transformer(nn.Module):
    """Residual blocks one after the other."""

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        mlp_ratio: float = 4.0,
        act_layer: type[nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        blocks = (ResidualBlock(width, heads, mlp_ratio, act_layer) for _ in range(layers))
        self.resblocks = nn.ModuleList(blocks)

    def forward(
        self, tokens: Float[Tensor, "B N D"], attn_mask: Float[Tensor, "N N"] | None = None
    ) -> Float[Tensor, "B N D"]:
        for block in self.resblocks:
            tokens = block(tokens, attn_mask)
        return tokens


class ImageTower(nn.Module):
    """A vision transformer read at its class token."""

    def __init__(
        self,
        embed_dim: int,
        gelu: type[nn.Module],
        *,
        image_size: int = 224,
        layers: int = 12,
        width: int = 768,
        head_width: int = 64,
        patch_size: int = 16,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        self.image_size = (image_size, image_size)
        self.patch_size = (patch_size, patch_size)
        scale = width**-0.5
        self.conv1 = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        places = (image_size // patch_size) ** 2 + 1
        self.positional_embedding = nn.Parameter(scale * torch.randn(places, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, width // head_width, mlp_ratio, gelu)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, embed_dim))

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        class_token = self.class_embedding.expand(len(pixels), 1, -1)
        tokens = torch.cat([class_token, patches], dim=1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(tokens))[:, 0]) @ self.proj


class PlainCLIP(nn.Module):
    """Image tower and text tower of a config for which `is_plain` holds, with random weights."""

    text_pool_type = "argmax"
    attn_mask: Tensor

    def __init__(
        self,
        embed_dim: int,
        vision_cfg: Mapping[str, Any],
        text_cfg: Mapping[str, Any],
        *,
        quick_gelu: bool = False,
    ) -> None:
        super().__init__()
        gelu: type[nn.Module] = QuickGELU if quick_gelu else nn.GELU
        self.visual = ImageTower(embed_dim, gelu, **vision_cfg)
        text = {"width": 512, "heads": 8, "layers": 12, "mlp_ratio": 4.0} | dict(text_cfg)
        length, width = text.get("context_length", CONTEXT_LENGTH), text["width"]
        self.transformer = Transformer(
            width, text["layers"], text["heads"], text["mlp_ratio"], gelu
        )
        self.token_embedding = nn.Embedding(text.get("vocab_size", VOCABULARY), width)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(length, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(width**-0.5 * torch.randn(width, embed_dim))
        mask = torch.full((length, length), float("-inf")).triu_(1)
        self.register_buffer("attn_mask", mask, persistent=False)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def encode_image(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        embeddings: Tensor = self.visual(pixels)
        return embeddings

    def encode_text(self, tokens: Int[Tensor, "P C"]) -> Float[Tensor, "P E"]:
        states = self.token_embedding(tokens) + self.positional_embedding
        states = self.ln_final(self.transformer(states, self.attn_mask))
        ends = states[torch.arange(len(states), device=states.device), tokens.argmax(dim=-1)]
        return ends @ self.text_projection


def make_tokenizer(context_length: int = CONTEXT_LENGTH, **options: Any) -> Any:
    """open_clip's tokenizer of CLIP; without the rest of open_clip, which it does not need."""
    module = _tokenizers()
    if options:
        return module.SimpleTokenizer(context_length=context_length, **options)
    tokenizer = copy(vars(module)["_tokenizer"])  # with the tables it made of its file
    tokenizer.context_length = context_length
    return tokenizer


@cache
def _tokenizers() -> ModuleType:
    package = importlib.util.find_spec("open_clip")  # finds, does not import
    assert package is not None and package.origin is not None  # requirements.txt
    path = Path(package.origin).with_name("tokenizer.py")
    spec = importlib.util.spec_from_file_location("videogem.backbones._clip_tokenizer", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
