"""Tiny random towers: the real classes at sizes a test can afford."""

import json
from pathlib import Path
from typing import Any

import torch
from open_clip import CLIP, SimpleTokenizer

from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.viclip import ViCLIP, ViCLIPBackbone, ViCLIPConfig

TEXT = {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}

VISION = {"image_size": 64, "layers": 8, "width": 32, "head_width": 16, "patch_size": 16}
TINY_CONFIG = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}


def write_config(folder: Path, config: dict[str, Any], **pictures: Any) -> Path:
    """A config as the hub has it, beside the weights of a folder."""
    path = folder / "open_clip_config.json"
    path.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": pictures}))
    return path


def tiny_clip(
    *, layers: int = 8, quick_gelu: bool = False, scale: float | None = None, seed: int = 0
) -> CLIP:
    """A random open_clip model: 64 px, patch 16, width 32; ``scale`` adds layer scales."""
    torch.manual_seed(seed)
    vision = VISION | {"layers": layers, "ls_init_value": scale}
    return CLIP(24, vision, TEXT, quick_gelu=quick_gelu).eval()


def tiny_backbone(*, layers: int = 8, image_size: int | None = None) -> OpenCLIPBackbone:
    """`tiny_clip` as a backbone."""
    tokenizer = SimpleTokenizer(context_length=TEXT["context_length"])
    return OpenCLIPBackbone(tiny_clip(layers=layers), tokenizer, name="tiny", image_size=image_size)


def tiny_viclip_config() -> ViCLIPConfig:
    """64 px, patch 16, four frames, eight blocks."""
    return ViCLIPConfig(24, 32, 8, 2, 16, 32, 2, 2, image_size=64, num_frames=4)


def tiny_viclip_backbone() -> ViCLIPBackbone:
    """A random ViCLIP with a temporal table that tells frames apart."""
    torch.manual_seed(0)
    model = ViCLIP(tiny_viclip_config())
    torch.nn.init.normal_(model.vision_encoder.temporal_positional_embedding)
    return ViCLIPBackbone(model, SimpleTokenizer(context_length=32), name="tiny-viclip")


def activation(backbone: OpenCLIPBackbone) -> str:
    return type(backbone._visual.transformer.resblocks[0].mlp.gelu).__name__
