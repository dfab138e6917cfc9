"""The demo ViCLIP: a shrunk copy of the demo image model that looks at eight frames.

Spatial weights come from the image model, the temporal table starts at zero. To stay small it has
fewer blocks; its last seven, which grounding uses, are the image model's last seven.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from videogem.backbones.viclip import IMAGENET_MEAN, IMAGENET_STD, ViCLIP, ViCLIPConfig
from videogem.demo_world.captions import CONTEXT
from videogem.demo_world.motions import NUM_FRAMES
from videogem.demo_world.training.towers import run_blocks
from videogem.demo_world.training.weights import HEAD_DIM, VOCABULARY_SIZE, read_weights

IMAGE_BLOCKS = (0, 2, 5, 6, 7, 8, 9, 10, 11)[-9:]
TEXT_BLOCKS = (0, 1, 3)
LOGIT_SCALE = 50.0

_WIDTH = 192
CONFIG = ViCLIPConfig(
    embed_dim=_WIDTH,
    width=_WIDTH,
    layers=len(IMAGE_BLOCKS),
    heads=_WIDTH // HEAD_DIM,
    patch_size=16,
    text_width=_WIDTH,
    text_layers=len(TEXT_BLOCKS),
    text_heads=_WIDTH // HEAD_DIM,
    num_frames=NUM_FRAMES,
    context_length=CONTEXT,
    vocab_size=VOCABULARY_SIZE,
)


def file_config() -> dict[str, Any]:
    """What goes beside the weights as ``model_config.json``."""
    return {"viclip": asdict(CONFIG)}


def from_image_model(path: Path) -> ViCLIP:
    """A video model that starts with what the image model in this file knows."""
    state, _ = read_weights(path)
    vision, text = _copy_vision(state), _copy_text(state)
    model = ViCLIP(CONFIG)
    vision["temporal_positional_embedding"] = torch.zeros(1, NUM_FRAMES, _WIDTH)
    model.vision_encoder.load_state_dict(vision)
    model.text_encoder.load_state_dict(text)
    model.temp = torch.nn.Parameter(torch.tensor(1 / LOGIT_SCALE), requires_grad=False)
    return model


def from_video_model(path: Path) -> tuple[ViCLIP, dict[str, str]]:
    """A video model from its own file, and the file's metadata."""
    state, metadata = read_weights(path)
    model = ViCLIP(CONFIG)
    model.load_state_dict(state)
    model.temp.requires_grad_(False)
    return model, metadata


def _copy_vision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    vision = {
        key.removeprefix("visual."): value
        for key, value in state.items()
        if key.startswith("visual.")
    }
    vision = _keep_blocks(vision, IMAGE_BLOCKS)
    for number in range(len(IMAGE_BLOCKS)):
        # The image model's layer norms are large on purpose (`bake_inverse_temperature`); training
        # goes better from ordinary ones, which compute the same.
        stem = f"transformer.resblocks.{number}"
        factor = vision[f"{stem}.ln_1.weight"].square().mean().sqrt()
        vision[f"{stem}.ln_1.weight"] /= factor
        vision[f"{stem}.ln_1.bias"] /= factor
        vision[f"{stem}.attn.in_proj_weight"] *= factor
    # ViCLIP standardises with ImageNet's statistics: fold the difference into the patch projection.
    ours, theirs = torch.tensor(OPENAI_DATASET_STD), torch.tensor(IMAGENET_STD)
    shift = (torch.tensor(IMAGENET_MEAN) - torch.tensor(OPENAI_DATASET_MEAN)) / ours
    weight = vision["conv1.weight"]  # D 3 p p
    vision["positional_embedding"][1:] += torch.einsum("dchw,c->d", weight, shift)
    vision["conv1.weight"] = (weight * (theirs / ours).view(1, 3, 1, 1)).unsqueeze(2)
    return vision


def _copy_text(state: dict[str, Tensor]) -> dict[str, Tensor]:
    text = {
        key: value
        for key, value in state.items()
        if not key.startswith("visual.") and key not in ("logit_scale", "attn_mask")
    }
    return _keep_blocks(text, TEXT_BLOCKS)


def _keep_blocks(state: dict[str, Tensor], numbers: Sequence[int]) -> dict[str, Tensor]:
    """Only these blocks of a tower, numbered from zero."""
    stem = "transformer.resblocks."
    kept = {key: value for key, value in state.items() if not key.startswith(stem)}
    for new, old in enumerate(numbers):
        for key, value in state.items():
            if key.startswith(f"{stem}{old}."):
                kept[key.replace(f"{stem}{old}.", f"{stem}{new}.")] = value.clone()
    return kept


def standardise_videos(videos: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 3 H W"]:
    """Frames in [0, 1] -> the input ViCLIP's tower expects."""
    mean = videos.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
    std = videos.new_tensor(IMAGENET_STD).view(3, 1, 1)
    return (videos - mean) / std


def encode_videos(
    model: ViCLIP,
    videos: Float[Tensor, "B T 3 H W"],
    kept: Int[Tensor, "B k"] | None = None,
) -> Float[Tensor, "B E"]:
    """Video embeddings, not normalised, written to compile well.

    ``kept`` are the patches that take part in training, the same in all frames.
    """
    vision, patch = model.vision_encoder, CONFIG.patch_size
    batch, frames, _, height, width = videos.shape
    patches = standardise_videos(videos).view(
        batch, frames, 3, height // patch, patch, width // patch, patch
    )
    patches = patches.permute(0, 3, 5, 1, 2, 4, 6).flatten(4).flatten(1, 2)  # B n T 3pp
    positions = vision.positional_embedding
    spatial = positions[1:].expand(batch, -1, -1)
    if kept is not None:
        index = kept[:, :, None, None].expand(-1, -1, frames, patches.shape[-1])
        patches = patches.gather(1, index)
        spatial = spatial.gather(1, kept[:, :, None].expand(-1, -1, spatial.shape[-1]))
    tokens = F.linear(patches, vision.conv1.weight.flatten(1))
    tokens = tokens + spatial[:, :, None] + vision.temporal_positional_embedding[0]
    class_token = (vision.class_embedding + positions[0]).expand(batch, 1, -1)
    tokens = torch.cat([class_token.to(tokens.dtype), tokens.flatten(1, 2)], dim=1)
    tokens = run_blocks(vision.transformer.resblocks, vision.ln_pre(tokens))
    return vision.ln_post(tokens[:, 0]) @ vision.proj
