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
    frames of a video (frame fastest), or only the one frame that was asked for.
    """

    terms: Float[Tensor, "K1 B N D"]  # X^{L-K}, then the self-self outputs Z^{L-K+1} .. Z^L
    class_path: Float[Tensor, "K1 B D"]  # the class token from X^{L-K} to X^L
    grid: tuple[int, int, int]  # patch rows, patch columns, frames
    # Only with `AttentionSettings.baselines`:
    second: Float[Tensor, "B N D"] | None = None  # X^{L-K+1}
    output: Float[Tensor, "B N D"] | None = None  # X^L
    values: Float[Tensor, "B N D"] | None = None  # the last block's, through its output projection
    value_value: Float[Tensor, "K B N D"] | None = None  # value-value attention of the last K

    @property
    def batch_size(self) -> int:
        return self.class_path.shape[1]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors there are, by field name."""
        found = {name: getattr(self, name) for name in _BATCH_AXES}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def sample(self, index: int) -> "ImageTokens":
        """One sample of the batch with a batch axis of 1, in memory of its own."""
        if self.batch_size == 1:
            return self
        return self.samples(range(index, index + 1))

    def samples(self, indices: Sequence[int]) -> "ImageTokens":
        """Some samples of the batch."""
        parts = {
            name: _take(tensor, indices, _BATCH_AXES[name]) for name, tensor in self.tensors.items()
        }
        return ImageTokens(grid=self.grid, **parts)

    @classmethod
    def joined(cls, samples: Sequence["ImageTokens"]) -> "ImageTokens":
        """Samples collected with the same settings as one batch."""
        first = samples[0]
        if len(samples) == 1:
            return first
        parts = {
            name: torch.cat([getattr(sample, name) for sample in samples], dim=_BATCH_AXES[name])
            for name in first.tensors
        }
        return cls(grid=first.grid, **parts)

    @property
    def num_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


def _take(tensor: Tensor, indices: Sequence[int], axis: int) -> Tensor:
    """Slices of an axis, in memory of their own."""
    if isinstance(indices, range) and indices.step == 1:  # without sending indices to a GPU
        return tensor.narrow(axis, indices.start, len(indices)).clone()
    return tensor.index_select(axis, torch.tensor(indices, device=tensor.device))


_BATCH_AXES = {
    "terms": 1,
    "class_path": 1,
    "second": 0,
    "output": 0,
    "values": 0,
    "value_value": 1,
}


@runtime_checkable
class Backbone(Protocol):
    """An image or video tower with its text tower, in one joint embedding space."""

    name: str
    num_frames: int  # frames the model looks at: 1 for image models
    num_blocks: int
    patch_size: int

    @property
    def device(self) -> torch.device: ...

    @property
    def fingerprint(self) -> str:
        """Equal for backbones that give equal tokens for equal frames; reads all weights."""
        ...

    def preprocess(self, clips: Sequence[Clip]) -> Tensor:
        """Network input of the clips' frames, on the model's device."""
        ...

    def encode_frames(
        self, pixels: Tensor, settings: AttentionSettings, *, target: int | None = None
    ) -> ImageTokens:
        """One pass of the image tower over a batch.

        With ``target`` a video tower keeps the tokens of that frame alone, which are all that a
        grounding reads: the same numbers from fewer rows.
        """
        ...

    def project(self, tokens: Float[Tensor, "... D"]) -> Float[Tensor, "... E"]:
        """Final layer norm and projection into the joint space, not normalised."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "P E"]:
        """Unit text embeddings, cached by text."""
        ...
