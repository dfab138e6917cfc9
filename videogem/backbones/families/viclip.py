"""ViCLIP by name, and from a checkpoint with ``{"viclip": {...}}`` beside it."""

from dataclasses import fields
from pathlib import Path

from videogem.backbones.base import check_image_size
from videogem.backbones.checkpoints import expand_token_table, load_state, read_state_dict
from videogem.backbones.configs import ModelConfig
from videogem.backbones.family import Family, Wanted, set_precision
from videogem.backbones.plain_clip import make_tokenizer
from videogem.backbones.viclip import (
    VICLIP_B_16,
    VICLIP_L_14,
    ViCLIP,
    ViCLIPBackbone,
    ViCLIPConfig,
)
from videogem.errors import InputError, first_line

SIZES = {"ViCLIP-B-16": VICLIP_B_16, "ViCLIP-L-14": VICLIP_L_14}


def load(wanted: Wanted) -> ViCLIPBackbone:
    """A ViCLIP with the sizes that its architecture or its config tells."""
    if wanted.config is not None:
        return load_viclip(wanted.weights(), _sizes(wanted.config), wanted)
    sizes = SIZES[wanted.name.architecture or ""]
    check_image_size(wanted.image_size, sizes.patch_size, wanted.name.text)
    return load_viclip(wanted.weights(), sizes, wanted)


def load_viclip(path: Path, sizes: ViCLIPConfig, wanted: Wanted) -> ViCLIPBackbone:
    """A ViCLIP checkpoint with the keys its authors publish.

    Their ``.pth`` files hold the tensors below ``model``, beside training settings; the
    ``model.safetensors`` of their ``-hf`` repositories holds the same keys and nothing else.
    """
    model = ViCLIP(sizes)
    load_state(model, expand_token_table(read_state_dict(path), sizes.vocab_size), path)
    set_precision(model.vision_encoder, wanted.dtype)
    tokenizer = make_tokenizer(sizes.context_length)
    return ViCLIPBackbone(
        model.to(wanted.device), tokenizer, name=wanted.name.text, image_size=wanted.image_size
    )


def _sizes(config: ModelConfig) -> ViCLIPConfig:
    try:
        return ViCLIPConfig(**config.model["viclip"])
    except TypeError as error:
        names = ", ".join(one.name for one in fields(ViCLIPConfig))
        raise InputError(
            f"'viclip' in '{config.path}' must have the fields {names} ({first_line(error)})."
        ) from error


FAMILY = Family("viclip", SIZES.__contains__, load)
