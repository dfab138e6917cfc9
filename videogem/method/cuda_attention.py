"""Self-self attention on CUDA: Triton kernels for both of its steps.

Queries and keys are unit vectors, so no logit exceeds the inverse temperature. The softmax
therefore needs no running maximum: the bound itself is taken off, and every block of keys is read
once. What is brought to unit length afterwards needs no sum of weights either. The keys of a short
sequence (an image) stay in shared memory while all rows pass by them; those of a long one (a
video) are streamed. The mean over queries, keys and values stays in registers. Sums are kept in
fp32.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

SHORT = 320  # tokens: five blocks of keys, so that four programs share a multiprocessor
UNIT_ROWS, UNIT_KEYS = 64, 64
ROWS, KEYS, WARPS = 64, 128, 4
DTYPES = (torch.bfloat16, torch.float16)


@triton.jit
@no_type_check
def _load(base, stride, first, NUM: tl.constexpr, SIZE: tl.constexpr, DIM: tl.constexpr):
    """A block of vectors [SIZE, DIM]; those past the last are 0."""
    place = first + tl.arange(0, SIZE)
    at = base + place[:, None] * stride + tl.arange(0, DIM)[None, :]
    return tl.load(at, mask=place[:, None] < NUM, other=0.0)


@triton.jit
@no_type_check
def _unit(vectors):
    wide = vectors.to(tl.float32)
    return wide * tl.rsqrt(tl.maximum(tl.sum(wide * wide, 1), 1e-24))[:, None]


@triton.jit
@no_type_check
def _shares(query, keys, scale, first, NUM: tl.constexpr, SIZE: tl.constexpr, WHOLE: tl.constexpr):
    """exp(beta (q k - 1)) of a block of unit keys; 0 for those past the last."""
    share = tl.exp2(tl.dot(query, tl.trans(keys)) * scale - scale)
    if WHOLE:
        return share
    else:
        return tl.where((first + tl.arange(0, SIZE))[None, :] < NUM, share, 0.0)


@triton.jit
@no_type_check
def _resident(
    states,
    beta,
    out,
    num_heads,
    state_p,
    state_b,
    state_h,
    state_n,
    out_p,
    out_b,
    out_h,
    out_n,
    NUM: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    BLOCKS: tl.constexpr,
    TAIL: tl.constexpr,
    DIM: tl.constexpr,
):
    """P -> normalised softmax(beta P P^T) P, P normalised: one program a head and projection."""
    batch, head = tl.program_id(0) // num_heads, tl.program_id(0) % num_heads
    own = tl.program_id(1)
    # 64-bit: long videos in large batches pass 2^31 elements.
    batch64 = batch.to(tl.int64)
    dtype = states.dtype.element_ty
    scale = tl.load(beta + batch) * 1.4426950408889634  # log2(e): exp2 is the hardware's own
    base = states + own * state_p + batch64 * state_b + head * state_h
    to = out + own * out_p + batch64 * out_b + head * out_h
    keys = ()  # Triton unrolls what follows, so types change
    for block in tl.static_range(BLOCKS):
        unit = _unit(_load(base, state_n, block * KEYS, NUM, KEYS, DIM)).to(dtype)
        keys += (unit,)
    if TAIL > 0:
        unit = _unit(_load(base, state_n, BLOCKS * KEYS, NUM, TAIL, DIM)).to(dtype)
        keys += (unit,)
    for first in range(0, NUM, ROWS):
        query = _unit(_load(base, state_n, first, NUM, ROWS, DIM)).to(dtype)
        weighted = tl.zeros((ROWS, DIM), tl.float32)
        for block in tl.static_range(BLOCKS):
            share = _shares(query, keys[block], scale, 0, NUM, KEYS, True)
            weighted = tl.dot(share.to(dtype), keys[block], weighted)
        if TAIL > 0:
            share = _shares(query, keys[BLOCKS], scale, BLOCKS * KEYS, NUM, TAIL, False)
            weighted = tl.dot(share.to(dtype), keys[BLOCKS], weighted)
        row = first + tl.arange(0, ROWS)[:, None]
        column = tl.arange(0, DIM)[None, :]
        tl.store(to + row * out_n + column, _unit(weighted).to(dtype), mask=row < NUM)


@triton.jit
@no_type_check
def _streamed(
    states,
    values,
    beta,
    out,
    num_rows,
    num_heads,
    first_row,  # kept row r > 0 is token first_row + (r - 1) * row_step; row 0 is token 0
    row_step,
    state_p,
    state_b,
    state_h,
    state_n,
    value_p,
    value_b,
    value_h,
    value_n,
    out_p,
    out_b,
    out_h,
    out_n,
    UNIT_PASS: tl.constexpr,
    PROJECTIONS: tl.constexpr,
    NUM: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    BLOCKS: tl.constexpr,
    TAIL: tl.constexpr,
    DIM: tl.constexpr,
):
    """The mean over projections of softmax(beta P P^T) V, P of unit length.

    UNIT_PASS: of one projection each, V its own P; the result is normalised.
    """
    batch, head = tl.program_id(1) // num_heads, tl.program_id(1) % num_heads
    own = tl.program_id(2)
    batch64 = batch.to(tl.int64)
    dtype = states.dtype.element_ty
    scale = tl.load(beta + batch) * 1.4426950408889634
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    token = tl.where(row == 0, 0, first_row + (row - 1) * row_step)
    inside = row[:, None] < num_rows
    column = tl.arange(0, DIM)[None, :]
    total = tl.zeros((ROWS, DIM), tl.float32)
    for index in range(PROJECTIONS):
        projection = own if UNIT_PASS else index
        base = states + projection * state_p + batch64 * state_b + head * state_h
        source = values + own * value_p + batch64 * value_b + head * value_h
        query = tl.load(base + token[:, None] * state_n + column, mask=inside, other=0.0)
        weighted = tl.zeros((ROWS, DIM), tl.float32)
        weights = tl.zeros((ROWS,), tl.float32)
        for block in range(BLOCKS):
            keys = _load(base, state_n, block * KEYS, NUM, KEYS, DIM)
            content = _load(source, value_n, block * KEYS, NUM, KEYS, DIM)
            share = _shares(query, keys, scale, 0, NUM, KEYS, True)
            weights += tl.sum(share, 1)
            weighted = tl.dot(share.to(dtype), content, weighted)
        if TAIL > 0:
            keys = _load(base, state_n, BLOCKS * KEYS, NUM, TAIL, DIM)
            content = _load(source, value_n, BLOCKS * KEYS, NUM, TAIL, DIM)
            share = _shares(query, keys, scale, BLOCKS * KEYS, NUM, TAIL, False)
            weights += tl.sum(share, 1)
            weighted = tl.dot(share.to(dtype), content, weighted)
        total += _unit(weighted) if UNIT_PASS else weighted / weights[:, None]
    total = total / PROJECTIONS
    to = out + own * out_p + batch64 * out_b + head * out_h
    tl.store(to + row[:, None] * out_n + column, total.to(dtype), mask=inside)


@triton.jit
@no_type_check
def _normalise(
    states, out, num_heads, num_tokens, state_p, state_b, state_h, state_n,
    out_p, out_b, out_h, out_n, ROWS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """Vectors of unit length."""
    batch, head = tl.program_id(1) // num_heads, tl.program_id(1) % num_heads
    own = tl.program_id(2)
    batch64 = batch.to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, DIM)[None, :]
    inside = row < num_tokens
    base = states + own * state_p + batch64 * state_b + head * state_h
    to = out + own * out_p + batch64 * out_b + head * out_h
    vectors = _unit(tl.load(base + row * state_n + column, mask=inside, other=0.0))
    tl.store(to + row * out_n + column, vectors.to(out.dtype.element_ty), mask=inside)


def _cut(num_tokens: int, keys: int) -> tuple[int, int]:
    """Whole blocks of keys, and the size of the last one, which the rest does not fill."""
    blocks, rest = divmod(num_tokens, keys)
    return blocks, triton.next_power_of_2(max(16, rest)) if rest else 0


def _by_token(qkv: Tensor, projections: int, num_rows: int) -> Tensor:
    """Room for [projections B heads rows d] that joining the heads leaves where it is."""
    _, batch, heads, _, dim = qkv.shape
    return qkv.new_empty((projections, batch, num_rows, heads, dim)).transpose(2, 3)


def _unit_pass_resident(states: Tensor, beta: Tensor) -> Tensor:
    _, batch, heads, tokens, dim = states.shape
    out = _by_token(states, 3, tokens)
    blocks, tail = _cut(tokens, UNIT_KEYS)
    _resident[(batch * heads, 3)](
        states, beta, out, heads, *states.stride()[:4], *out.stride()[:4],
        NUM=tokens, ROWS=UNIT_ROWS, KEYS=UNIT_KEYS, BLOCKS=blocks, TAIL=tail, DIM=dim,
        num_warps=WARPS, num_stages=2,
    )  # fmt: skip
    return out


def _normalised(states: Tensor) -> Tensor:
    _, batch, heads, tokens, dim = states.shape
    out = _by_token(states, 3, tokens)
    _normalise[(triton.cdiv(tokens, 128), batch * heads, 3)](
        states, out, heads, tokens, *states.stride()[:4], *out.stride()[:4],
        ROWS=128, DIM=dim, num_warps=WARPS,
    )  # fmt: skip
    return out


def _stream(
    states: Tensor, values: Tensor, beta: Tensor, rows: tuple[int, int, int], *, unit_pass: bool
) -> Tensor:
    _, batch, heads, tokens, dim = states.shape
    first_row, row_step, num_rows = rows
    programs = 3 if unit_pass else 1
    out = _by_token(states, programs, num_rows)
    blocks, tail = _cut(tokens, KEYS)
    _streamed[(triton.cdiv(num_rows, ROWS), batch * heads, programs)](
        states, values, beta, out, num_rows, heads, first_row, row_step,
        *states.stride()[:4], *values.stride()[:4], *out.stride()[:4],
        UNIT_PASS=unit_pass, PROJECTIONS=1 if unit_pass else 3, NUM=tokens,
        ROWS=ROWS, KEYS=KEYS, BLOCKS=blocks, TAIL=tail, DIM=dim,
        num_warps=WARPS, num_stages=2 if tokens <= SHORT else 3,
    )  # fmt: skip
    return out


@torch.library.custom_op("videogem::self_self", mutates_args=())
def self_self(
    qkv: Tensor, beta: Tensor, iterations: int, first_row: int, row_step: int, num_rows: int
) -> Tensor:
    """[3 B heads N d] and one inverse temperature a sample -> [B heads rows d]."""
    tokens = qkv.shape[3]
    short = tokens <= SHORT
    states = qkv if short and iterations else _normalised(qkv)
    for _ in range(iterations):
        if short:
            states = _unit_pass_resident(states, beta)
        else:
            states = _stream(states, states, beta, (1, 1, tokens), unit_pass=True)
    rows = (first_row, row_step, num_rows)
    return _stream(states, qkv[2:], beta, rows, unit_pass=False)[0]


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
