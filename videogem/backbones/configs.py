"""Configs beside weights: what a model is made of, and what pictures it was trained with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    for key in ("mean", "std"):
        values = pictures.get(key, [0.5] * 3)
        if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
            raise InputError(f"'{key}' in '{path}' must be three numbers, got {values}.")
    return ModelConfig(found.get("model_cfg", found), pictures, path)
