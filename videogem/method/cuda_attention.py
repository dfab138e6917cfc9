"""Self-self attention on CUDA: one Triton kernel for both of its steps.

Queries and keys are unit vectors, so no logit exceeds the inverse temperature. The softmax
therefore needs no running maximum: the bound itself is taken off, and every block of keys is read
once. The mean over queries, keys and values stays in registers. Sums are kept in fp32.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

BLOCK_ROWS, BLOCK_KEYS, WARPS, STAGES = 128, 64, 4, 2
DTYPES = (torch.bfloat16, torch.float16)


@triton.jit
def _attend(
    states,
    values,
    beta,
    out,
    num_tokens,
    num_rows,
    num_heads,
    first_row,  # kept row r > 0 is token first_row + (r - 1) * row_step; row 0 is token 0
    row_step,
    state_p,
    state_b,
    state_h,
    state_n,
    value_b,
    value_h,
    value_n,
    out_p,
    out_b,
    out_h,
    out_n,
    UNIT_PASS: tl.constexpr,
    PROJECTIONS: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    DIM: tl.constexpr,
):
    """UNIT_PASS: normalised softmax(beta P P^T) P of each projection; else their mean on values."""
    batch, head = tl.program_id(1) // num_heads, tl.program_id(1) % num_heads
    own = tl.program_id(2)
    # 64-bit: long videos in large batches pass 2^31 elements.
    batch64 = batch.to(tl.int64)
    scale = tl.load(beta + batch) * 1.4426950408889634  # log2(e): exp2 is the hardware's own
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    token = tl.where(row == 0, 0, first_row + (row - 1) * row_step)
    inside = row[:, None] < num_rows
    column, key = tl.arange(0, DIM), tl.arange(0, KEYS)
    total = tl.zeros((ROWS, DIM), tl.float32)
    for index in range(PROJECTIONS):
        projection = own if UNIT_PASS else index
        base = states + projection * state_p + batch64 * state_b + head * state_h
        query = tl.load(base + token[:, None] * state_n + column[None, :], mask=inside, other=0.0)
        query = query.to(tl.float32)
        if UNIT_PASS:
            query = query * tl.rsqrt(tl.maximum(tl.sum(query * query, 1), 1e-24))[:, None]
        query = (query * scale).to(states.dtype.element_ty)
        weighted = tl.zeros((ROWS, DIM), tl.float32)
        weights = tl.zeros((ROWS,), tl.float32)
        for start in range(0, num_tokens, KEYS):
            place = start + key
            there = place[:, None] < num_tokens
            keys = tl.load(base + place[:, None] * state_n + column[None, :], mask=there, other=0.0)
            if UNIT_PASS:
                wide = keys.to(tl.float32)
                norm = tl.rsqrt(tl.maximum(tl.sum(wide * wide, 1), 1e-24))
                keys = (wide * norm[:, None]).to(states.dtype.element_ty)
                content = keys
            else:
                source = values + batch64 * value_b + head * value_h
                content = tl.load(
                    source + place[:, None] * value_n + column[None, :], mask=there, other=0.0
                )
            share = tl.exp2(tl.dot(query, tl.trans(keys)) - scale)
            share = tl.where(place[None, :] < num_tokens, share, 0.0)
            weights += tl.sum(share, 1)
            weighted += tl.dot(share.to(content.dtype), content)
        mean = weighted / weights[:, None]
        if UNIT_PASS:
            mean = mean * tl.rsqrt(tl.maximum(tl.sum(mean * mean, 1), 1e-24))[:, None]
        total += mean
    if not UNIT_PASS:
        total = total / PROJECTIONS
    to = out + own * out_p + batch64 * out_b + head * out_h
    to = to + row[:, None] * out_n + column[None, :]
    tl.store(to, total.to(out.dtype.element_ty), mask=inside)


@torch.library.custom_op("videogem::self_self", mutates_args=())
def self_self(
    qkv: Tensor, beta: Tensor, iterations: int, first_row: int, row_step: int, num_rows: int
) -> Tensor:
    """[3 B heads N d] and one inverse temperature a sample -> [B heads rows d]."""
    _, batch, heads, tokens, dim = qkv.shape
    values = qkv[2]
    state = qkv
    for step in range(iterations + 1):
        last = step == iterations
        kept = num_rows if last else tokens
        # Token by token in memory, so that joining the heads copies nothing.
        shape = (1 if last else 3, batch, kept, heads, dim)
        out = torch.empty(shape, dtype=qkv.dtype, device=qkv.device).transpose(2, 3)
        grid = (triton.cdiv(kept, BLOCK_ROWS), batch * heads, 1 if last else 3)
        _attend[grid](
            state,
            values,
            beta,
            out,
            tokens,
            kept,
            heads,
            first_row if last else 1,
            row_step if last else 1,
            *state.stride()[:4],
            *values.stride()[:3],
            *out.stride()[:4],
            UNIT_PASS=not last,
            PROJECTIONS=3 if last else 1,
            ROWS=BLOCK_ROWS,
            KEYS=BLOCK_KEYS,
            DIM=dim,
            num_warps=WARPS,
            num_stages=STAGES,
        )
        state = out
    return state[0]


@self_self.register_fake
def _(
    qkv: Tensor, beta: Tensor, iterations: int, first_row: int, row_step: int, num_rows: int
) -> Tensor:
    _, batch, heads, _, dim = qkv.shape
    return qkv.new_empty((batch, num_rows, heads, dim)).transpose(1, 2)


def fits(qkv: Float[Tensor, "3 B heads N head_dim"]) -> bool:
    """Whether the kernel takes these: half precision on CUDA, head sizes that are powers of 2."""
    dim = qkv.shape[-1]
    return qkv.is_cuda and qkv.dtype in DTYPES and dim in (16, 32, 64, 128)
