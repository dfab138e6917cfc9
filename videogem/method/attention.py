"""Self-self attention: the training-free replacement for a block's attention (Section 3.2).

Pure functions on the queries, keys and values of one block. No N x N matrix of all heads is ever
stored: products run through scaled-dot-product attention with the inverse temperature folded into
the queries, or through what is faster for unit vectors: `cpu_attention`, `cuda_attention`.

Source: GEM, Bousselham et al., CVPR 2024, Section 3; VideoGEM, CVPR 2025, Section 3.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from videogem.method import cpu_attention


@dataclass(frozen=True, eq=False)
class KeptRows:
    """The rows that are read: the class token and the patches of one frame."""

    first: int  # row of the frame's first patch
    step: int  # rows from one of its patches to the next
    index: Int[Tensor, " R"]

    @classmethod
    def of_frame(cls, target: int, grid: tuple[int, int, int], device: torch.device) -> "KeptRows":
        rows, columns, frames = grid
        patches = torch.arange(rows * columns, device=device) * frames + 1 + target
        return cls(1 + target, frames, torch.cat([patches.new_zeros(1), patches]))


def split_heads(
    qkv: Float[Tensor, "B N three_D"], num_heads: int
) -> Float[Tensor, "3 B heads N head_dim"]:
    """Queries, keys and values of a fused projection, head by head."""
    batch, tokens, width = qkv.shape
    return qkv.view(batch, tokens, 3, num_heads, width // (3 * num_heads)).permute(2, 0, 3, 1, 4)


def merge_heads(heads: Float[Tensor, "B heads N head_dim"]) -> Float[Tensor, "B N D"]:
    """Inverse of `split_heads` for one of the three."""
    return heads.transpose(1, 2).flatten(2)


def inverse_temperature(
    normed_inputs: Float[Tensor, "B N D"], num_heads: int
) -> Float[Tensor, " B"]:
    """The adaptive inverse temperature: mean token norm over the square root of the head size.

    One number per sample and block, over all tokens, the class token included.
    """
    head_dim = normed_inputs.shape[-1] // num_heads
    return normed_inputs.float().norm(dim=-1).mean(dim=-1) * head_dim**-0.5


def self_self_attention(
    qkv: Float[Tensor, "3 B heads N head_dim"],
    beta: Float[Tensor, " B"],
    *,
    iterations: int = 1,
    rows: KeptRows | None = None,
) -> Float[Tensor, "B heads R head_dim"]:
    """Mean of query-query, key-key and value-value attention, each iterated on unit vectors.

    Every token attends to every token, the class token included, as in the paper's text and by
    default in the authors' code; `quirks` has its other modes.

    With ``rows`` only these tokens' outputs are computed; all tokens are still attended to.
    """
    return iterated_attention(qkv, qkv[2], beta, iterations, rows)


def value_value_attention(
    values: Float[Tensor, "B heads N head_dim"], rows: KeptRows | None = None
) -> Float[Tensor, "B heads R head_dim"]:
    """Attention of values to values at the block's own softmax scale; of ``rows`` alone if given.

    Source: CLIP Surgery, Li et al., 2023, Section 3.2.
    """
    queries = values if rows is None else values.index_select(-2, rows.index)
    return F.scaled_dot_product_attention(queries, values, values)


def _kernel(projections: Float[Tensor, "3 B heads N head_dim"]) -> Callable[..., Tensor] | None:
    """The kernel for half precision on CUDA, where there is one; see `cuda_attention`."""
    if not projections.is_cuda or find_spec("triton") is None:
        return None
    from videogem.method.cuda_attention import fits, self_self

    return self_self if fits(projections) else None


def iterated_attention(
    projections: Float[Tensor, "3 B heads N head_dim"],
    values: Float[Tensor, "B heads N head_dim"],
    beta: Float[Tensor, " B"],
    iterations: int,
    rows: KeptRows | None = None,
) -> Float[Tensor, "B heads R head_dim"]:
    """Each projection attends to itself, ``iterations`` times, then to the values; their mean."""
    if kernel := _kernel(projections):
        first, step, count = 1, 1, projections.shape[-2]
        if rows is not None:
            first, step, count = rows.first, rows.step, len(rows.index)
        return kernel(projections, beta.float(), iterations, first, step, count)
    if cpu_attention.fits(projections):
        index = None if rows is None else rows.index
        return cpu_attention.self_self(projections, values, beta, iterations, index)
    state = F.normalize(projections, dim=-1).flatten(0, 1)  # 3B heads N head_dim
    scale = beta.to(state.dtype).repeat(3).view(-1, 1, 1, 1)
    for _ in range(iterations):
        state = F.scaled_dot_product_attention(scale * state, state, state, scale=1.0)
        state = F.normalize(state, dim=-1)
    queries = state if rows is None else state.index_select(-2, rows.index)
    attended = F.scaled_dot_product_attention(
        scale * queries, state, values.repeat(3, 1, 1, 1), scale=1.0
    )
    return attended.unflatten(0, (3, -1)).mean(dim=0)
