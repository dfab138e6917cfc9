"""The one walk through a tower's blocks, and what all towers share.

The walk reads the blocks' weights and computes the ordinary forward pass and the self-self branch
side by side from the same queries, keys and values. Nothing is patched or hooked, so the model's
own ``encode_image`` stays as it was, and several threads may walk at once.
"""

import hashlib
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from videogem.backbones.feed_forward import feed_forward
from videogem.errors import InputError
from videogem.method.attention import (
    KeptRows,
    inverse_temperature,
    merge_heads,
    self_self_attention,
    split_heads,
    value_value_attention,
)
from videogem.method.backbone import ImageTokens
from videogem.method.quirks import scoped_attention
from videogem.method.rows import FEWEST, with_enough_rows
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

MOST_PATCHES = 96  # a side: attention of 12 heads over their square takes 4 GB


@dataclass(frozen=True)
class Part:
    """What a block has to give, by its place in the tower."""

    collected: bool  # it is one of the last K
    last: bool
    settings: AttentionSettings
    num_frames: int = 1


class BlockOutput(NamedTuple):
    tokens: Tensor
    self_self: Tensor | None = None  # through the output projection
    values: Tensor | None = None  # the last block's, likewise
    value_value: Tensor | None = None


def block_forward(
    block: Any, tokens: Float[Tensor, "B N D"], part: Part, rows: KeptRows | None
) -> BlockOutput:
    """One residual block: its ordinary output and the self-self branch beside it.

    A block has ``ln_1``, ``attn`` (fused ``in_proj``), ``ln_2``, ``mlp`` and optionally the layer
    scales ``ls_1`` and ``ls_2``. The self-self output never feeds back into the ordinary path.
    """
    settings, attention = part.settings, block.attn
    scale_1, scale_2 = getattr(block, "ls_1", _identity), getattr(block, "ls_2", _identity)
    project = partial(_project_heads, attention.out_proj, scale_1)
    normed = block.ln_1(tokens)
    qkv = split_heads(
        F.linear(normed, attention.in_proj_weight, attention.in_proj_bias), attention.num_heads
    )
    queries = qkv[0]
    if part.last and not settings.baselines:
        # Of the tower's output only the class token is read, so only it is computed.
        queries, tokens = queries[..., :1, :], tokens[:, :1]
    attended = F.scaled_dot_product_attention(queries, qkv[1], qkv[2])
    self_self = values = value_value = None
    if part.collected:
        self_self = project(_self_self(qkv, normed, attended, attention.num_heads, part, rows))
        if settings.baselines:
            values = project(_keep_rows(rows, qkv[2])) if part.last else None
            value_value = project(value_value_attention(qkv[2], rows))
    tokens = tokens + project(attended)
    forward = partial(feed_forward, block.mlp)
    tokens = tokens + scale_2(with_enough_rows(forward, block.ln_2(tokens)))
    return BlockOutput(tokens, self_self, values, value_value)


def _self_self(
    qkv: Float[Tensor, "3 B heads N head_dim"],
    normed: Float[Tensor, "B N D"],
    attended: Float[Tensor, "B heads M head_dim"],
    num_heads: int,
    part: Part,
    rows: KeptRows | None,
) -> Float[Tensor, "B heads R head_dim"]:
    settings = part.settings
    if settings.inverse_temperature is None:
        beta = inverse_temperature(normed, num_heads)
    else:
        fixed = settings.inverse_temperature
        beta = normed.new_full(normed.shape[:1], fixed, dtype=torch.float32)
    if settings.scope == "all":
        return self_self_attention(qkv, beta, iterations=settings.iterations, rows=rows)
    return scoped_attention(
        qkv,
        beta,
        settings.scope,
        iterations=settings.iterations,
        class_output=attended[..., 0, :],
        num_frames=part.num_frames,
        rows=rows,
    )


def walk_blocks(
    blocks: nn.ModuleList | Sequence[Any],
    tokens: Float[Tensor, "B N D"],
    settings: AttentionSettings,
    grid: tuple[int, int, int],
    target: int | None = None,
    *,
    forward: Callable[..., BlockOutput] = block_forward,
) -> ImageTokens:
    """Run a tower's residual blocks once, collecting what grounding needs from the last K.

    With ``target`` only the class token and that frame's patches are collected. ``forward`` is
    `block_forward` or its compiled form.
    """
    first, last = len(blocks) - settings.depth, len(blocks) - 1
    rows = None
    if target is not None and grid[2] > 1:
        rows = KeptRows.of_frame(target, grid, tokens.device)
    keep = partial(_keep_rows, rows)
    terms: list[Tensor] = []
    class_path: list[Tensor] = []
    value_value: list[Tensor] = []
    second = values = None
    for index, block in enumerate(blocks):
        collected = index >= first
        if collected:
            class_path.append(tokens[:, 0])
        if index == first:
            terms.append(keep(tokens))
        if index == first + 1 and settings.baselines:
            second = keep(tokens)
        found = forward(block, tokens, Part(collected, index == last, settings, grid[2]), rows)
        tokens = found.tokens
        if found.self_self is not None:
            terms.append(found.self_self)
        if found.value_value is not None:
            value_value.append(found.value_value)
            values = found.values
    return ImageTokens(
        torch.stack(terms),
        torch.stack([*class_path, tokens[:, 0]]),
        grid if rows is None else (*grid[:2], 1),
        second,
        keep(tokens) if settings.baselines else None,
        values,
        torch.stack(value_value) if settings.baselines else None,
    )


def check_depth(settings: AttentionSettings, num_blocks: int, name: str) -> None:
    """Raise InputError unless the tower has the K blocks asked for."""
    if not 1 <= settings.depth <= num_blocks:
        raise InputError(
            f"The depth must lie between 1 and the number of blocks of the image tower; "
            f"'{name}' has {num_blocks} blocks, the depth asked for is {settings.depth}."
        )


def check_image_size(image_size: int | None, patch_size: int, name: str) -> None:
    """Raise InputError unless whole patches fill the input; None is the weights' own size."""
    if image_size is not None and (image_size < patch_size or image_size % patch_size):
        raise InputError(
            f"The image size must be a multiple of the patch size of '{name}', "
            f"{patch_size}; got {image_size}."
        )
    if image_size is not None and image_size > MOST_PATCHES * patch_size:
        raise InputError(
            f"The image size of '{name}' may be at most {MOST_PATCHES * patch_size}, as memory "
            f"grows with its fourth power; got {image_size}."
        )


def tower_fingerprint(tower: nn.Module, *inputs: object) -> str:
    """Equal for image towers that give equal tokens.

    That is weights, layers and precision, and with ``inputs`` what prepares their pictures.
    """
    digest = hashlib.blake2b(repr((str(tower), inputs)).encode(), digest_size=16)
    for name, tensor in tower.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.device.type}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def fit_clip(clip: Clip, num_frames: int) -> Clip:
    """The clip cut or filled to the number of frames a tower looks at.

    The target comes to stand after half of the frames (at 4 of 0..7); where the clip has too few on
    a side, its outermost frame repeats. A still image is thus shown in every frame.
    """
    if clip.num_frames == num_frames:
        return clip
    offsets = np.arange(num_frames) - num_frames // 2
    picked = np.clip(clip.target + offsets, 0, len(clip.frames) - 1)
    return Clip(
        clip.frames[picked],
        clip.times[picked],
        clip.frame_indices[picked],
        target=num_frames // 2,
        fps=clip.fps,
    )


def encode_trimmed(
    tokens: Int[Tensor, "P C"], encode: Callable[[Int[Tensor, "p c"]], Float[Tensor, "p E"]]
) -> Float[Tensor, "P E"]:
    """Embeddings of texts without what follows their end token, which a causal mask hides anyway.

    The end token is the largest id. On a CPU texts of one length are encoded together, so that
    none depends on the others, see `videogem.method.rows`.
    """
    lengths = tokens.argmax(dim=-1) + 1
    if tokens.is_cuda:
        return encode(tokens[:, : int(lengths.max())])
    found: dict[int, Tensor] = {}
    for length in sorted(set(lengths.tolist())):
        [places] = torch.where(lengths == length)
        part = tokens[places, :length]
        missing = max(2, math.ceil(FEWEST / length)) - len(part)
        padded = torch.cat([part, part[:1].expand(missing, -1)]) if missing > 0 else part
        found |= zip(places.tolist(), encode(padded), strict=False)  # without what fills it
    return torch.stack([found[place] for place in range(len(tokens))])


def project_tokens(
    norm: nn.LayerNorm, projection: Tensor, tokens: Float[Tensor, "*B D"]
) -> Float[Tensor, "*B E"]:
    """Final layer norm and projection, in the precision of the tokens.

    The weights follow the tokens, so that class tokens of a bf16 tower can be compared in fp32.
    """
    weight, bias = norm.weight.to(tokens.dtype), norm.bias.to(tokens.dtype)
    normed = F.layer_norm(tokens, norm.normalized_shape, weight, bias, norm.eps)
    projection = projection.to(tokens.dtype)
    return with_enough_rows(lambda rows: rows @ projection, normed)


def _keep_rows(rows: KeptRows | None, tokens: Tensor) -> Tensor:
    """Tokens (on the axis before the last) at the rows, or all."""
    return tokens if rows is None else tokens.index_select(-2, rows.index)


def _identity(tokens: Tensor) -> Tensor:
    return tokens


def _project_heads(output_projection: nn.Module, scale: Any, heads: Tensor) -> Tensor:
    """The end of an attention layer: heads joined, projected and scaled."""
    projected: Tensor = scale(with_enough_rows(output_projection, merge_heads(heads)))
    return projected


class TextCache:
    """Unit embeddings of texts already encoded, as one table on the tower's device."""

    def __init__(self, max_texts: int = 8192) -> None:
        self._kept: tuple[dict[str, int], Tensor | None] = ({}, None)  # rows, and the table
        self._max_texts = max_texts
        self._lock = threading.Lock()

    def get(self, texts: Sequence[str], encode: "TextEncoder") -> Float[Tensor, "P E"]:
        """Embeddings in the order of ``texts``; those not seen yet are encoded in one batch."""
        rows, table = self._kept
        if table is None or not all(text in rows for text in texts):
            rows, table = self._add(texts, encode)
        return table[torch.tensor([rows[text] for text in texts], device=table.device)]

    def _add(self, texts: Sequence[str], encode: "TextEncoder") -> tuple[dict[str, int], Tensor]:
        wanted = list(dict.fromkeys(texts))
        with self._lock:
            rows, table = self._kept
            missing = [text for text in wanted if text not in rows]
            new = F.normalize(encode(missing), dim=-1) if missing else None
            if new is not None and (table is None or len(rows) + len(missing) > len(table)):
                known = [text for text in wanted if text in rows]
                old = [] if table is None else [table[[rows[text] for text in known]]]
                kept = torch.cat([*old, new])
                # Others may still read the old table, so a full one is not emptied but replaced.
                table = new.new_empty((max(self._max_texts, len(kept)), new.shape[1]))
                table[: len(kept)] = kept
                rows = {text: row for row, text in enumerate([*known, *missing])}
            elif new is not None and table is not None:
                first = len(rows)
                table[first : first + len(new)] = new
                rows = rows | {text: first + row for row, text in enumerate(missing)}
            assert table is not None
            self._kept = rows, table
            return rows, table


@runtime_checkable
class TextEncoder(Protocol):
    def __call__(self, texts: Sequence[str]) -> Tensor: ...


def name_keys(keys: Iterable[str]) -> str:
    """The first of some state-dict keys, for an error message."""
    keys = sorted(keys)
    return f"'{keys[0]}' (and {len(keys) - 1} more)" if len(keys) > 1 else f"'{keys[0]}'"
