"""Any open_clip vision transformer with a class token, image and text side."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
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
from videogem.backbones.plain_clip import ImageTower, PlainCLIP
from videogem.errors import InputError
from videogem.method.backbone import ImageTokens
from videogem.method.rows import with_enough_rows
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

Tokenizer = Callable[[list[str]], Int[Tensor, "P C"]]


class OpenCLIPBackbone:
    """Reads an open_clip model's weights; the model itself stays untouched.

    ``image_size`` is the side the frame is squashed to (no crop, so that every pixel of the source
    can be pointed at); None is the size the tower was trained with, 448 is what the authors'
    helper for CLIP uses. The position table is resized to fit.
    """

    num_frames = 1
    compiles = True
    jpeg_on_device = False

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, *, name: str, image_size: int | None = None
    ) -> None:
        clip: Any = model  # torch types submodules as Tensor | Module
        self._visual = self._read_tower(clip.visual, name)
        self.name = name
        self.num_blocks = len(self._visual.transformer.resblocks)
        self._model = clip.eval()
        self._text = getattr(clip, "text", clip)
        self._tokenizer = tokenizer
        self._texts = TextCache()
        self.block_forward = BlockForward()
        self.patch_size: int = self._visual.patch_size[0]
        own_size: int = self._visual.image_size[0]
        self.image_size = own_size if image_size is None else image_size
        check_image_size(self.image_size, self.patch_size, name)
        preprocess = getattr(self._visual, "preprocess_cfg", None) or {}
        self._mean = tuple(preprocess.get("mean", OPENAI_MEAN))
        self._std = tuple(preprocess.get("std", OPENAI_STD))
        self._resampling = Image.Resampling[preprocess.get("interpolation", "bicubic").upper()]

    @property
    def fingerprint(self) -> str:
        """See `Backbone.fingerprint`."""
        heads = [block.attn.num_heads for block in self._visual.transformer.resblocks]
        prepared = (self.image_size, self._mean, self._std, self._resampling)
        return tower_fingerprint(self._model.visual, *prepared, heads)

    @property
    def device(self) -> torch.device:
        device: torch.device = self._visual.proj.device
        return device

    def preprocess(self, clips: Sequence[Clip]) -> Float[Tensor, "B 3 H W"]:
        """Target frames squashed to the input size (antialiased) and standardised."""
        pixels = self._preprocess_on_device(clips)
        if pixels is None:
            frames = [clip.target_frame for clip in clips]
            pixels = squash_bicubic(
                frames, self.image_size, self._mean, self._std, resampling=self._resampling
            )
        return pixels.to(self.device)

    def decode_jpeg_on_device(self) -> None:
        """From now on decode `EncodedClip` on the GPU, see `videogem.backbones.cuda_jpeg`.

        Raises:
            InputError: that cannot be done here.
        """
        from videogem.backbones import cuda_jpeg

        cuda_jpeg.check(self.device)
        self.jpeg_on_device = True

    def _preprocess_on_device(self, clips: Sequence[Clip]) -> Float[Tensor, "B 3 H W"] | None:
        """The same on CUDA, where Triton is there for it; otherwise None."""
        device = self.device
        if device.type != "cuda" or find_spec("triton") is None:
            return None
        from videogem.backbones.cuda_resize import fits, squash_on_device

        if not fits(self._resampling):
            return None
        if self.jpeg_on_device:
            from videogem.backbones.cuda_jpeg import frames_of

            frames = frames_of(clips, device)
        else:
            frames = [clip.target_frame for clip in clips]
        return squash_on_device(
            frames, self.image_size, self._mean, self._std, self._resampling, device
        )

    @torch.inference_mode()
    def encode_frames(
        self,
        pixels: Float[Tensor, "B 3 H W"],
        settings: AttentionSettings,
        *,
        target: int | None = None,
    ) -> ImageTokens:
        """One pass of the image tower over a batch of frames; ``target`` means nothing here.

        Raises:
            InputError: the tower has fewer blocks than ``settings.depth``.
        """
        check_depth(settings, self.num_blocks, self.name)
        tokens, (rows, columns) = self._embed(pixels)
        blocks = self._visual.transformer.resblocks
        grid = (rows, columns, 1)
        return walk_blocks(blocks, tokens, settings, grid, forward=self.block_forward)

    def _read_tower(self, visual: Any, name: str) -> Any:
        """The image tower, if this class can read it; else InputError."""
        _check_tower(visual, name)
        return visual

    def _embed(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B N D"], tuple[int, int]]:
        """Tokens that enter the first block, class token first, and their rows and columns."""
        visual = self._visual
        patches, (rows, columns) = embed_patches(visual.conv1, pixels)
        positions = visual.positional_embedding
        patches = patches + resize_positions(positions[1:], (rows, columns))
        class_token = (visual.class_embedding + positions[0]).expand(len(pixels), 1, -1)
        return visual.ln_pre(torch.cat([class_token, patches], dim=1)), (rows, columns)

    @property
    def final_layers(self) -> tuple[nn.LayerNorm, Tensor] | None:
        """The norm and the projection of `project`, where it is no more than these."""
        return self._visual.ln_post, self._visual.proj

    @torch.inference_mode()
    def project(self, tokens: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        return project_tokens(self._visual.ln_post, self._visual.proj, tokens)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "P E"]:
        return self._texts.get(
            texts,
            lambda missing: self.encode_tokens(self._tokenizer(list(missing)).to(self.device)),
        )

    @torch.inference_mode()
    def encode_tokens(self, tokens: Int[Tensor, "P C"]) -> Float[Tensor, "P E"]:
        """Text embeddings of token ids, not normalised; computed up to the last end token only."""
        if not _can_be_trimmed(self._text):
            return self._model.encode_text(tokens)
        return encode_trimmed(tokens, self._encode_trimmed)

    def _encode_trimmed(self, tokens: Int[Tensor, "P c"]) -> Float[Tensor, "P E"]:
        text, length = self._text, tokens.shape[1]
        states = text.token_embedding(tokens) + text.positional_embedding[:length]
        states = text.transformer(states, attn_mask=text.attn_mask[:length, :length])
        states = text.ln_final(states)
        ends = states[torch.arange(len(states), device=states.device), tokens.argmax(dim=-1)]
        projection = text.text_projection
        if projection is None:
            return ends
        if isinstance(projection, nn.Linear):
            return with_enough_rows(projection, ends)
        return with_enough_rows(lambda rows: rows @ projection, ends)


def squash_bicubic(
    frames: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    size: int,
    mean: Sequence[float] = OPENAI_MEAN,
    std: Sequence[float] = OPENAI_STD,
    *,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> Float[Tensor, "B 3 size size"]:
    """Frames resized to a square without cropping (antialiased), then standardised.

    Bicubic, unless the weights were trained with another filter.
    """
    images = [np.asarray(Image.fromarray(f).resize((size, size), resampling)) for f in frames]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def _check_tower(visual: Any, name: str) -> None:
    """Raise InputError for towers that the method cannot read."""
    if isinstance(visual, ImageTower):
        return
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    need = "VideoGEM needs an open_clip vision transformer with a class token"
    if not isinstance(visual, VisionTransformer):
        raise InputError(f"{need}; the image tower of '{name}' is a {type(visual).__name__}.")
    if visual.attn_pool is not None or visual.pool_type != "tok" or visual.final_ln_after_pool:
        raise InputError(f"{need} that is pooled at that token; '{name}' pools differently.")
    for block in visual.transformer.resblocks:
        if not isinstance(block, ResidualAttentionBlock):
            raise InputError(f"{need} and plain blocks; '{name}' has {type(block).__name__}s.")


def _can_be_trimmed(text: Any) -> bool:
    """True for causal text towers that are read at the end token, the largest id."""
    if isinstance(text, PlainCLIP):
        return True
    from open_clip.transformer import TextTransformer

    pool = getattr(text, "pool_type", getattr(text, "text_pool_type", None))
    is_clip_text = isinstance(text, TextTransformer) or hasattr(text, "text_pool_type")
    has_class = getattr(text, "cls_emb", None) is not None
    return is_clip_text and pool == "argmax" and text.attn_mask is not None and not has_class
