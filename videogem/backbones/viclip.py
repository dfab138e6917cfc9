"""ViCLIP: a video tower with joint space-time attention and its text tower.

Source: InternVid, Wang et al., ICLR 2024; the state dict's keys are those of the published
checkpoints (``vision_encoder.*``, ``text_encoder.*``, ``temp``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from videogem.backbones.base import (
    TextCache,
    check_depth,
    check_image_size,
    encode_trimmed,
    project_tokens,
    tower_fingerprint,
    walk_blocks,
)
from videogem.backbones.compiling import BlockForward
from videogem.backbones.patches import embed_patches, resize_positions
from videogem.backbones.plain_clip import QuickGELU, Transformer
from videogem.method.backbone import ImageTokens
from videogem.method.rows import with_enough_rows
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ViCLIPConfig:
    """Sizes of both towers."""

    embed_dim: int
    width: int
    layers: int
    heads: int
    patch_size: int
    text_width: int
    text_layers: int
    text_heads: int
    image_size: int = 224
    num_frames: int = 8
    context_length: int = 32
    vocab_size: int = 49408


VICLIP_B_16 = ViCLIPConfig(512, 768, 12, 12, 16, 512, 12, 8)
VICLIP_L_14 = ViCLIPConfig(768, 1024, 24, 16, 14, 768, 12, 12)


class VisionEncoder(nn.Module):
    """Patches of all frames in one sequence: class token, then patch by patch, frame fastest."""

    def __init__(self, config: ViCLIPConfig) -> None:
        super().__init__()
        width, patch = config.width, config.patch_size
        side = config.image_size // patch
        self.conv1 = nn.Conv3d(3, width, (1, patch, patch), stride=(1, patch, patch), bias=False)
        scale = width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(side * side + 1, width))
        self.temporal_positional_embedding = nn.Parameter(torch.zeros(1, config.num_frames, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, config.layers, config.heads, act_layer=QuickGELU)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, config.embed_dim))

    def embed(
        self, video: Float[Tensor, "B T 3 H W"]
    ) -> tuple[Float[Tensor, "B N D"], tuple[int, int, int]]:
        """Tokens that enter the first block, and their grid (rows, columns, frames).

        The spatial table is added to every frame, the temporal one to the patches only; all frames
        would have the same class token, so there is one.
        """
        batch, frames = video.shape[:2]
        patches, (rows, columns) = embed_patches(self.conv1, video.flatten(0, 1))
        patches = patches.unflatten(0, (batch, frames)).transpose(1, 2)  # B n T D
        spatial = resize_positions(self.positional_embedding[1:], (rows, columns))
        patches = patches + spatial[:, None] + self.temporal_positional_embedding[0]
        class_token = (self.class_embedding + self.positional_embedding[0]).expand(
            len(patches), 1, -1
        )
        tokens = torch.cat([class_token, patches.flatten(1, 2)], dim=1)
        return self.ln_pre(tokens), (rows, columns, frames)

    def forward(self, video: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B E"]:
        tokens, _ = self.embed(video)
        return self.ln_post(self.transformer(tokens)[:, 0]) @ self.proj


class TextEncoder(nn.Module):
    """CLIP's causal text tower, read at the end token (the largest id)."""

    attn_mask: Tensor

    def __init__(self, config: ViCLIPConfig) -> None:
        super().__init__()
        width, length = config.text_width, config.context_length
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(length, width))
        self.transformer = Transformer(
            width, config.text_layers, config.text_heads, act_layer=QuickGELU
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(width**-0.5 * torch.randn(width, config.embed_dim))
        mask = torch.full((length, length), float("-inf")).triu_(1)
        self.register_buffer("attn_mask", mask, persistent=False)

    def forward(self, tokens: Int[Tensor, "P C"]) -> Float[Tensor, "P E"]:
        length = tokens.shape[1]
        states = self.token_embedding(tokens) + self.positional_embedding[:length]
        states = self.transformer(states, attn_mask=self.attn_mask[:length, :length])
        states = self.ln_final(states)
        ends = states[torch.arange(len(states), device=states.device), tokens.argmax(dim=-1)]
        return with_enough_rows(lambda rows: rows @ self.text_projection, ends)


class ViCLIP(nn.Module):
    """Both towers and the learned temperature."""

    def __init__(self, config: ViCLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_encoder = VisionEncoder(config)
        self.text_encoder = TextEncoder(config)
        self.temp = nn.Parameter(torch.tensor(1 / 100.0))

    def encode_video(self, video: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B E"]:
        return self.vision_encoder(video)

    def encode_text(self, tokens: Int[Tensor, "P C"]) -> Float[Tensor, "P E"]:
        return self.text_encoder(tokens)


def squash_bilinear(
    frames: UInt8[np.ndarray, "T H W 3"], size: int
) -> Float[Tensor, "T 3 size size"]:
    """Frames squashed to a square (bilinear on bytes, no crop), with ImageNet statistics.

    Source: the authors' evaluation code, whose channel swaps cancel out.
    """
    images = np.stack([cv2.resize(frame, (size, size)) for frame in frames])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


class ViCLIPBackbone:
    """Reads a ViCLIP's weights; the model itself stays untouched."""

    compiles = True

    def __init__(
        self,
        model: ViCLIP,
        tokenizer: Callable[[list[str]], Int[Tensor, "P C"]],
        *,
        name: str,
        image_size: int | None = None,
    ) -> None:
        self.name = name
        self.num_frames = model.config.num_frames
        self.num_blocks = model.config.layers
        self.patch_size = model.config.patch_size
        self.image_size = model.config.image_size if image_size is None else image_size
        check_image_size(self.image_size, self.patch_size, name)
        self._model = model.eval()
        self._vision = model.vision_encoder
        self._tokenizer = tokenizer
        self._texts = TextCache()
        self.block_forward = BlockForward()

    @property
    def fingerprint(self) -> str:
        """See `Backbone.fingerprint`."""
        return tower_fingerprint(self._vision, self._model.config, self.image_size)

    @property
    def device(self) -> torch.device:
        return self._vision.proj.device

    def preprocess(self, clips: Sequence[Clip]) -> Float[Tensor, "B T 3 H W"]:
        """All frames of clips that have the tower's length, see `squash_bilinear`."""
        videos = [squash_bilinear(clip.frames, self.image_size) for clip in clips]
        return torch.stack(videos).to(self.device)

    @torch.inference_mode()
    def encode_frames(
        self,
        pixels: Float[Tensor, "B T 3 H W"],
        settings: AttentionSettings,
        *,
        target: int | None = None,
    ) -> ImageTokens:
        """One pass of the video tower over a batch of clips.

        Raises:
            InputError: the tower has fewer blocks than ``settings.depth``.
        """
        check_depth(settings, self.num_blocks, self.name)
        tokens, grid = self._vision.embed(pixels)
        blocks = self._vision.transformer.resblocks
        return walk_blocks(blocks, tokens, settings, grid, target, forward=self.block_forward)

    @property
    def final_layers(self) -> tuple[nn.LayerNorm, Tensor]:
        """The norm and the projection of `project`."""
        return self._vision.ln_post, self._vision.proj

    @torch.inference_mode()
    def project(self, tokens: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        return project_tokens(self._vision.ln_post, self._vision.proj, tokens)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "P E"]:
        return self._texts.get(
            texts,
            lambda missing: self.encode_tokens(self._tokenizer(list(missing)).to(self.device)),
        )

    @torch.inference_mode()
    def encode_tokens(self, tokens: Int[Tensor, "P C"]) -> Float[Tensor, "P E"]:
        """Text embeddings of token ids, not normalised; computed up to the last end token only."""
        return encode_trimmed(tokens, self._model.encode_text)
