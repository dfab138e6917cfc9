"""Loads models by name, see `videogem.backbones.names`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from videogem.backbones import families
from videogem.backbones.configs import config_beside, read_config
from videogem.backbones.family import Family, Wanted
from videogem.backbones.names import CONFIG_FILES, SHIPPED, ModelName, parse_model_name
from videogem.errors import InputError, first_line
from videogem.method.backbone import Backbone
from videogem.method.settings import Dtype
from videogem.modules import modules_of

DEFAULT = "open_clip"  # the family of configs that name none


@runtime_checkable
class DecodesJpeg(Protocol):
    """A backbone that can take JPEG as it is and decode it on its device."""

    def decode_jpeg_on_device(self) -> None: ...


@cache
def model_families() -> Mapping[str, Family]:
    """Every family by its name.

    Raises:
        RuntimeError: two have the same name.
    """
    found = [module.FAMILY for module in modules_of(families)]
    by_name = {family.name: family for family in found}
    if len(by_name) < len(found):
        raise RuntimeError(f"two families have one name: {sorted(one.name for one in found)}")
    return by_name


def load_backbone(
    name: str, *, device: str = "auto", image_size: int | None = None, dtype: Dtype = "fp32"
) -> Backbone:
    """Load a model by name, see the table in `videogem.backbones.names`.

    ``dtype`` is the precision of the image tower; `planned_version` takes the same.

    Raises:
        InputError: unknown name, missing or unreadable weights, or a tower that does not fit; what
            a config tells is said before weights are fetched.
    """
    parsed = parse_model_name(name)
    target = pick_device(device)
    if parsed.architecture is None:
        path = parsed.path or SHIPPED[name]
        return load_with_config(path, name, target, image_size, dtype)
    family = _family_of(parsed)
    if parsed.path is not None:
        _check_file(parsed.path)
    return family.load(Wanted(parsed, target, image_size, dtype))


def load_with_config(
    path: Path, name: str, device: torch.device, image_size: int | None, dtype: Dtype = "fp32"
) -> Backbone:
    """A checkpoint with its config beside it, see `CONFIG_FILES`.

    That is an open_clip config, with or without what the hub puts round it (``model_cfg``,
    ``preprocess_cfg``), or one with the name of another family as a key, as ``{"viclip": {...}}``
    with the fields of `ViCLIPConfig`.
    """
    _check_file(path)
    config_path = config_beside(path)
    if config_path is None:
        raise InputError(
            f"'{path}' needs its open_clip model config beside it as '{CONFIG_FILES[-1]}' or "
            f"'{CONFIG_FILES[0]}', or give the architecture: 'ViT-B-16:{path}'."
        )
    config = read_config(config_path)
    known = model_families()
    family = next((known[key] for key in config.model if key in known), known[DEFAULT])
    return family.load(Wanted(ModelName(name, path=path), device, image_size, dtype, config))


def decode_on_device(backbone: Backbone) -> None:
    """Let the GPU decode JPEG for this backbone.

    Raises:
        InputError: it cannot: a video model, no GPU, or no nvJPEG.
    """
    if not isinstance(backbone, DecodesJpeg):
        raise InputError(f"'{backbone.name}' takes no JPEG; it is decoded by the CPU for it.")
    backbone.decode_jpeg_on_device()


def pick_device(device: str) -> torch.device:
    """The device by name; ``auto`` is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"The device '{device}' cannot be used here ({first_line(error)}); "
            f"use 'cpu', 'cuda' or 'auto'."
        ) from error
    return torch.device(device)


def _family_of(name: ModelName) -> Family:
    knowing = [one for one in model_families().values() if one.knows(name.architecture or "")]
    if len(knowing) > 1:
        names = " and ".join(one.name for one in knowing)
        raise RuntimeError(f"'{name.architecture}' is an architecture of {names}")
    if not knowing:
        raise InputError(
            f"There is no architecture '{name.architecture}' (model '{name.text}'); "
            f"`videogem models --all` lists them."
        )
    return knowing[0]


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"There is no weights file '{path}'; give the path of a checkpoint.")
