"""Self-self attention: the training-free replacement for a block's attention (Section 3.2).

Pure functions on the queries, keys and values of one block. No N x N matrix is ever stored: all
products run through scaled-dot-product attention with the inverse temperature folded into the
queries.

Source: GEM, Bousselham et al., CVPR 2024, Section 3; VideoGEM, CVPR 2025, Section 3.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from videogem.method.settings import Scope

# How much of a patch's output comes from its own stripe, and how much from the other stripes.
_STRIPE_SHARES: dict[Scope, tuple[float, float]] = {
    "stripe": (1.0, 0.0),
    "other-stripes": (0.0, 1.0),
    "stripes-average": (0.5, 0.5),
    "official-eval": (0.25, 0.75),
}


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
    scope: Scope = "all",
    class_output: Float[Tensor, "B heads head_dim"] | None = None,
    num_frames: int = 1,
    rows: KeptRows | None = None,
) -> Float[Tensor, "B heads R head_dim"]:
    """Mean of query-query, key-key and value-value attention, each iterated on unit vectors.

    ``scope`` says which tokens attend to which:

    - ``all``: every token to every token, the class token included (the paper's text and the
      default of the authors' code, there called mode 0).
    - ``patches``: the same without the class token.
    - ``stripe``, ``other-stripes``, ``stripes-average``, ``official-eval``: the authors' modes 1
      to 4 for videos. They cut the patch tokens into ``num_frames`` runs of consecutive tokens;
      as tokens are stored patch by patch with the frame fastest, a run is a horizontal stripe over
      all frames, not a frame. Attention to *other* stripes loses its state in the first iteration
      there, which leaves the plain mean of their values; that mean is computed here directly.

    Where the class token does not take part, its row is ``class_output``, the block's ordinary
    attention at the class token (zero if not given). It never reaches a heatmap.

    With ``rows`` only these tokens' outputs are computed; all tokens are still attended to.
    """
    if scope == "all":
        return _iterated(qkv, qkv[2], beta, iterations, rows)
    patches = qkv[..., 1:, :]
    if scope == "patches":
        attended = _iterated(patches, patches[2], beta, iterations)
    else:
        attended = _striped(patches, beta, iterations, *_STRIPE_SHARES[scope], num_frames)
    if class_output is None:
        class_output = torch.zeros_like(attended[..., 0, :])
    attended = torch.cat([class_output.unsqueeze(-2), attended], dim=-2)
    return attended if rows is None else attended.index_select(-2, rows.index)


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


def _iterated(
    projections: Float[Tensor, "3 B heads N head_dim"],
    values: Float[Tensor, "B heads N head_dim"],
    beta: Float[Tensor, " B"],
    iterations: int,
    rows: KeptRows | None = None,
) -> Float[Tensor, "B heads R head_dim"]:
    if kernel := _kernel(projections):
        first, step, count = 1, 1, projections.shape[-2]
        if rows is not None:
            first, step, count = rows.first, rows.step, len(rows.index)
        return kernel(projections, beta.float(), iterations, first, step, count)
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


def _striped(
    patches: Float[Tensor, "3 B heads n head_dim"],
    beta: Float[Tensor, " B"],
    iterations: int,
    own_share: float,
    other_share: float,
    num_frames: int,
) -> Float[Tensor, "B heads n head_dim"]:
    batch, _, num_patches, _ = patches.shape[1:]
    values = patches[2].unflatten(2, (num_frames, -1))  # B heads stripes m head_dim
    attended = torch.zeros_like(values)
    if own_share:
        stripes = patches.unflatten(3, (num_frames, -1)).movedim(3, 2).flatten(1, 2)
        own = _iterated(stripes, stripes[2], beta.repeat_interleave(num_frames), iterations)
        attended += own_share * own.unflatten(0, (batch, num_frames)).movedim(1, 2)
    if other_share:
        sums = values.sum(dim=3, keepdim=True)  # B heads stripes 1 head_dim
        others = sums.sum(dim=2, keepdim=True) - sums
        attended += other_share * others / (num_patches - num_patches // num_frames)
    return attended.flatten(2, 3)
