"""What the method needs from a model: one pass of its image tower, and a space shared with text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from videogem.method.settings import AttentionSettings
from videogem.structures import Clip


@dataclass(frozen=True, eq=False)
class ImageTokens:
    """All that text will be compared with; everything after this is cheap.

    The token axis starts with the class token; patches follow row by row, and within a patch the
    frames of a video (frame fastest).
    """

    residual: Float[Tensor, "K B N D"]  # what enters the last K blocks, X^{L-K} .. X^{L-1}
    self_self: Float[Tensor, "K B N D"]  # Z^{L-K+1} .. Z^L
    output: Float[Tensor, "B M D"]  # X^L: the class token alone (M = 1) unless for baselines
    grid: tuple[int, int, int]  # patch rows, patch columns, frames
    # Only with `AttentionSettings.baselines`:
    values: Float[Tensor, "B N D"] | None = None  # the last block's, through its output projection
    value_value: Float[Tensor, "K B N D"] | None = None  # value-value attention of the last K

    @property
    def class_path(self) -> Float[Tensor, "K1 B D"]:
        """The class token from X^{L-K} to X^L."""
        return torch.cat([self.residual[:, :, 0], self.output[None, :, 0]])

    def sample(self, index: int) -> "ImageTokens":
        """One sample of the batch with a batch axis of 1, in memory of its own."""
        if self.output.shape[0] == 1:
            return self
        pick = slice(index, index + 1)
        return ImageTokens(
            self.residual[:, pick].clone(),
            self.self_self[:, pick].clone(),
            self.output[pick].clone(),
            self.grid,
            None if self.values is None else self.values[pick].clone(),
            None if self.value_value is None else self.value_value[:, pick].clone(),
        )

    @property
    def num_bytes(self) -> int:
        tensors = (self.residual, self.self_self, self.output, self.values, self.value_value)
        return sum(t.numel() * t.element_size() for t in tensors if t is not None)


@runtime_checkable
class Backbone(Protocol):
    """An image or video tower with its text tower, in one joint embedding space."""

    name: str
    num_frames: int  # frames the model looks at: 1 for image models
    num_blocks: int
    patch_size: int

    @property
    def device(self) -> torch.device: ...

    def preprocess(self, clips: Sequence[Clip]) -> Tensor:
        """Network input of the clips' frames, on the model's device."""
        ...

    def encode_frames(self, pixels: Tensor, settings: AttentionSettings) -> ImageTokens:
        """One pass of the image tower over a batch."""
        ...

    def project(self, tokens: Float[Tensor, "... D"]) -> Float[Tensor, "... E"]:
        """Final layer norm and projection into the joint space, not normalised."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "P E"]:
        """Unit text embeddings, cached by text."""
        ...
