"""What a module in `videogem.backbones.families` defines, and what it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from videogem.backbones.configs import ModelConfig
from videogem.backbones.names import ModelName
from videogem.method.backbone import Backbone
from videogem.method.settings import Dtype


@dataclass(frozen=True)
class Wanted:
    """A model that is asked for, and how its tower is to be held."""

    name: ModelName
    device: torch.device
    image_size: int | None = None  # None is the weights' own
    dtype: Dtype = "fp32"
    config: ModelConfig | None = None  # beside a checkpoint, where no architecture is named

    def weights(self) -> Path:
        """The weights file: a local one, or that of the tag, from the hub or its cache.

        Raises:
            InputError: the hub has none under this name, or they cannot be fetched.
        """
        if self.name.path is not None:
            return self.name.path
        from videogem.backbones.hub import fetch_weights

        return fetch_weights(self.name)


@dataclass(frozen=True)
class Family:
    """A kind of models.

    Checkpoints that are asked for by their path alone are its own if the config beside them has a
    key of the family's name; if it has none of any family's, it is open_clip's. ``load`` checks
    what name and config tell before it asks for the weights.
    """

    name: str
    knows: Callable[[str], bool]  # whether an architecture, as models are asked for by, is one
    load: Callable[[Wanted], Backbone]


def set_precision(tower: nn.Module, dtype: Dtype) -> None:
    """Hold an image tower's weights in this precision; the text tower stays in fp32."""
    tower.to(torch.bfloat16 if dtype == "bf16" else torch.float32)
