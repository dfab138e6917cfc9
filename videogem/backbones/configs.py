"""Configs beside weights: what a model is made of, and what pictures it was trained with."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from videogem.backbones.names import CONFIG_FILES
from videogem.errors import InputError, first_line


@dataclass(frozen=True)
class ModelConfig:
    """What a config says of a model and of the pictures it was trained with."""

    model: dict[str, Any]
    pictures: Mapping[str, Any] = field(default_factory=dict)  # mean, std, interpolation
    path: Path | None = None  # the file, if it is one


def config_beside(path: Path) -> Path | None:
    """The config file of a checkpoint, see `CONFIG_FILES`; None if there is none."""
    return next((p for file in CONFIG_FILES if (p := path.parent / file).is_file()), None)


def read_config(path: Path) -> ModelConfig:
    """A config file: the model's alone, or with what the hub puts round it.

    The hub's form has the keys ``model_cfg`` and ``preprocess_cfg``.

    Raises:
        InputError: it is no JSON object, or its mean or std are not three numbers.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"The model config '{path}' is no JSON: {first_line(error)}.") from error
    if not isinstance(found, dict) or not isinstance(found.get("model_cfg", {}), dict):
        raise InputError(f"The model config '{path}' must hold a JSON object.")
    pictures = found.get("preprocess_cfg") or {}
    if not isinstance(pictures, dict):
        raise InputError(f"'preprocess_cfg' in '{path}' must be a JSON object, got {pictures!r}.")
    pictures = {key: value for key, value in pictures.items() if value is not None}
    for key in ("mean", "std"):
        if key in pictures:
            pictures[key] = _by_channel(
                pictures[key], f"'{key}' in '{path}'", positive=key == "std"
            )
    kind = pictures.get("interpolation", "bicubic")
    if not isinstance(kind, str) or kind.upper() not in Image.Resampling.__members__:
        known = ", ".join(one.name.lower() for one in Image.Resampling)
        raise InputError(f"'interpolation' in '{path}' must be one of {known}; got {kind!r}.")
    return ModelConfig(found.get("model_cfg", found), pictures, path)


def _by_channel(values: Any, what: str, *, positive: bool) -> list[float]:
    """Three numbers; one stands for all three, as open_clip reads it."""
    found = values if isinstance(values, list) else [values] * 3
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)
    if len(found) != 3 or not numbers or not all(map(math.isfinite, found)):
        raise InputError(f"{what} must be three numbers, got {values}.")
    if positive and min(found) <= 0:
        raise InputError(f"{what} must be above 0, got {values}.")
    return found
