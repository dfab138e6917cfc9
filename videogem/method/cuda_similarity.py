"""Cosines of weighted patches with prompts on CUDA: Triton kernels round the projection.

The residual terms are the largest tensor there is; they are read once for all prompts, and their
weighted sums leave the registers after the final layer norm only.
"""

from typing import no_type_check

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor, nn

PROMPTS = 4  # at once, so that their sums fit into registers
ROWS = 8


@triton.jit
@no_type_check
def _weigh(
    terms, weights, scale, shift, out, num_prompts, eps,
    term_k, term_b, term_n, out_b, out_p, out_n,
    TERMS: tl.constexpr, WIDTH: tl.constexpr, COLUMNS: tl.constexpr, PROMPTS: tl.constexpr,
):  # fmt: skip
    """Layer norm of the weighted sum of a patch's terms, for some prompts."""
    patch, batch = tl.program_id(0), tl.program_id(1).to(tl.int64)
    prompt = tl.program_id(2) * PROMPTS + tl.arange(0, PROMPTS)
    column = tl.arange(0, COLUMNS)
    known, inside = prompt < num_prompts, column < WIDTH
    at = terms + batch * term_b + patch * term_n + column
    total = tl.zeros((PROMPTS, COLUMNS), tl.float32)
    for term in range(TERMS):
        share = tl.load(
            weights + (batch * num_prompts + prompt) * TERMS + term, mask=known, other=0.0
        )
        values = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        total += share[:, None] * values[None, :]
        at += term_k
    centred = tl.where(inside[None, :], total - tl.sum(total, 1)[:, None] / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred, 1)[:, None] / WIDTH + eps)
    factor = tl.load(scale + column, mask=inside, other=0.0).to(tl.float32)
    offset = tl.load(shift + column, mask=inside, other=0.0).to(tl.float32)
    normed = normed * factor[None, :] + offset[None, :]
    to = out + batch * out_b + prompt[:, None] * out_p + patch * out_n + column[None, :]
    tl.store(to, normed.to(out.dtype.element_ty), mask=known[:, None] & inside[None, :])


@triton.jit
@no_type_check
def _compare(
    features, embeddings, out, num_patches,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Cosines of features with a unit embedding."""
    prompt = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    inside, there = column < WIDTH, row < num_patches
    text = tl.load(embeddings + prompt * WIDTH + column, mask=inside, other=0.0).to(tl.float32)
    at = features + (prompt * num_patches + row[:, None]) * WIDTH + column[None, :]
    feature = tl.load(at, mask=there[:, None] & inside[None, :], other=0.0).to(tl.float32)
    product, square = tl.sum(feature * text[None, :], 1), tl.sum(feature * feature, 1)
    cosine = product * tl.rsqrt(tl.maximum(square, 1e-24))
    tl.store(out + prompt * num_patches + row, cosine, mask=there)


def weighted_similarities(
    terms: Float[Tensor, "K1 B n D"],
    weights: Float[Tensor, "B P K1"],
    norm: nn.LayerNorm,
    projection: Float[Tensor, "D E"],
    embeddings: Float[Tensor, "B P E"],
) -> Float[Tensor, "B P n"]:
    """Cosine of every patch with every prompt of its sample: terms weighted, normed, projected."""
    num_terms, batch, patches, width = terms.shape
    prompts = weights.shape[1]
    normed = terms.new_empty((batch, prompts, patches, width))
    at_once = min(PROMPTS, triton.next_power_of_2(prompts))
    _weigh[(patches, batch, triton.cdiv(prompts, at_once))](
        terms, weights.float().contiguous(), norm.weight, norm.bias, normed, prompts, norm.eps,
        *terms.stride()[:3], *normed.stride()[:3],
        TERMS=num_terms, WIDTH=width, COLUMNS=triton.next_power_of_2(width), PROMPTS=at_once,
        num_warps=4,
    )  # fmt: skip
    features = F.linear(normed, projection.T)
    size = projection.shape[1]
    out = torch.empty((batch, prompts, patches), dtype=torch.float32, device=terms.device)
    _compare[(triton.cdiv(patches, ROWS), batch * prompts)](
        features, embeddings.contiguous(), out, patches,
        WIDTH=size, COLUMNS=triton.next_power_of_2(size), ROWS=ROWS, num_warps=4,
    )  # fmt: skip
    return out


def fits(terms: Tensor, norm: nn.LayerNorm) -> bool:
    """Whether the kernels take these: half precision on CUDA, a norm with both of its vectors."""
    half = terms.dtype in (torch.bfloat16, torch.float16)
    affine = norm.weight is not None and norm.bias is not None
    return terms.is_cuda and half and terms.stride(-1) == 1 and affine
