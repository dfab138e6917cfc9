"""Which open_clip architectures the method can read, told from their config alone.

A config says so before a byte of weights is fetched or a model is built.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any

from videogem.errors import InputError

MULTILINGUAL = ("transformers", "sentencepiece")
"""Packages that text towers and tokenizers of the Hugging Face hub need."""

PLAIN_TIMM_TOWERS = {
    "vit_base_mci_224": 16,
    "vit_large_patch14_clip_224": 14,
    "eva_giant_patch14_224": 14,
}
"""Towers of timm whose blocks are plain attention with a class token, and their patch size."""

_NEED = "VideoGEM needs a vision transformer that is pooled at its class token"
_CUSTOM_BLOCKS = (
    "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc",
)  # fmt: skip
_GIVEN = {"embed_dim", "vision_cfg", "text_cfg"}


def check_architecture(config: Any, name: str) -> None:
    """Raise InputError unless the method can read a model of this open_clip config.

    Raises:
        InputError: it cannot, the config is none, or packages are missing; says which.
    """
    given = isinstance(config, Mapping) and all(key in config for key in sorted(_GIVEN))
    parts = [config[key] for key in ("vision_cfg", "text_cfg")] if given else []
    if not given or not all(isinstance(part, Mapping) for part in parts):
        raise InputError(
            f"The config of '{name}' must be open_clip's, with embed_dim, vision_cfg and text_cfg."
        )
    if (reason := why_unreadable(config)) is not None:
        raise InputError(f"{_NEED}; the image tower of '{name}' {reason}.")
    missing = [package for package in MULTILINGUAL if importlib.util.find_spec(package) is None]
    if missing and needs_transformers(config):
        raise InputError(
            f"The text tower of '{name}' needs {' and '.join(missing)}: "
            f"pip install 'videogem-label-studio[multilingual]' "
            f"(in a checkout: .venv/bin/pip install -e '.[multilingual]')."
        )


def why_unreadable(config: Mapping[str, Any]) -> str | None:
    """Why the method cannot read a model's image tower, as the end of a sentence; None if it can.

    >>> why_unreadable({"vision_cfg": {"layers": [3, 4, 6, 3]}})
    'is a ResNet'
    """
    vision = config["vision_cfg"]
    timm_name = vision.get("timm_model_name")
    if timm_name in PLAIN_TIMM_TOWERS and vision.get("timm_pool") == "token":
        return None
    if timm_name:
        return f"is timm's {timm_name}, which it does not read"
    if not isinstance(vision.get("layers", 12), int):
        return "is a ResNet"
    if vision.get("attentional_pool") or vision.get("pool_type", "tok") != "tok":
        return "is pooled in another way"
    if vision.get("final_ln_after_pool"):
        return "is normalised after pooling"
    if vision.get("block_type", "default") not in (None, "default") or any(
        vision.get(name) for name in _CUSTOM_BLOCKS
    ):
        return "has blocks with more than plain attention"
    for what in ("image_size", "patch_size"):
        size = vision.get(what, 0)
        if isinstance(size, (list, tuple)) and len(set(size)) > 1:
            return f"takes no squares: its {what} is {' x '.join(map(str, size))}"
    return None


def patch_size(config: Mapping[str, Any]) -> int:
    """The side of a patch of a tower that can be read."""
    vision = config["vision_cfg"]
    size = PLAIN_TIMM_TOWERS.get(vision.get("timm_model_name"), vision.get("patch_size", 16))
    return int(size[0] if isinstance(size, (list, tuple)) else size)


def needs_transformers(config: Mapping[str, Any]) -> bool:
    """Whether the text tower or its tokenizer comes from the package transformers."""
    text = config["text_cfg"]
    return bool(text.get("hf_model_name") or text.get("hf_tokenizer_name"))
