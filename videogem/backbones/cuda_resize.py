"""Pillow's resize on CUDA, to the bit: frames go to the device as bytes.

Pillow resizes bytes in two passes, along rows and along columns, with weights in whole numbers of
22 fractional bits, and rounds to bytes after each. Whole numbers add up alike everywhere, so the
same weights give the same bytes here, and a model's version need not say where its frames were
resized. Which pass comes first differs between shapes and releases of Pillow, so it is asked: for
each size a frame of noise is resized by both, and where they differ Pillow keeps the work.

Source: Pillow 13, src/libImaging/Resample.c.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any, Literal, no_type_check

import numpy as np
import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

BITS = 22  # of a weight's fraction
_Order = Literal["rows", "columns"]  # the pass that comes first
_SUPPORT = {Image.Resampling.BICUBIC: 2.0, Image.Resampling.BILINEAR: 1.0}
_BLOCK = 1024  # bytes of output, a program


def fits(resampling: Image.Resampling) -> bool:
    """Whether this filter is one of those that weights of CLIP are trained with."""
    return resampling in _SUPPORT


@lru_cache(maxsize=64)
def resize_weights(
    size: int, target: int, resampling: Image.Resampling
) -> tuple[Int[np.ndarray, " target"], Int[np.ndarray, "target taps"]]:
    """First source pixel of each target pixel, and the weights from there on, as whole numbers."""
    scale = size / target
    stretch = max(scale, 1.0)
    support = _SUPPORT[resampling] * stretch
    taps = math.ceil(support) * 2 + 1
    firsts = np.zeros(target, np.int32)
    weights = np.zeros((target, taps), np.int32)
    for place in range(target):
        centre = (place + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        own = [_filter((x - centre + 0.5) / stretch, resampling) for x in range(first, last)]
        total = sum(own)
        for index, weight in enumerate(own):
            share = weight / total if total else weight
            weights[place, index] = int(share * (1 << BITS) + (0.5 if share >= 0 else -0.5))
        firsts[place] = first
    return firsts, weights


def _filter(x: float, resampling: Image.Resampling) -> float:
    x = abs(x)
    if resampling == Image.Resampling.BILINEAR:
        return max(1.0 - x, 0.0)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


@triton.jit
@no_type_check
def _squash(
    source, firsts, weights, out, outer, along, inner, size,
    TAPS: tl.constexpr, OUTER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Bytes [outer along inner] -> [outer size inner]: weighted sums, rounded and clipped."""
    row = (tl.program_id(0) * OUTER + tl.arange(0, OUTER)).to(tl.int64)
    byte = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place, rest = byte // inner, byte % inner
    known = place < size
    inside = (row < outer)[:, None] & known[None, :]
    first = tl.load(firsts + place, mask=known, other=0)
    start = (row * along * inner)[:, None] + (first * inner + rest)[None, :]
    total = tl.zeros((OUTER, BLOCK), tl.int32) + (1 << 21)
    for tap in range(TAPS):
        weight = tl.load(weights + place * TAPS + tap, mask=known, other=0)
        # A weight of 0 may stand for a pixel outside of the image.
        there = inside & (weight != 0)[None, :]
        value = tl.load(source + start + tap * inner, mask=there, other=0).to(tl.int32)
        total += value * weight[None, :]
    value = tl.minimum(tl.maximum(total >> 22, 0), 255).to(tl.uint8)
    tl.store(out + (row * size * inner)[:, None] + byte[None, :], value, mask=inside)


def _pass(
    images: UInt8[Tensor, "B H W C"], axis: int, size: int, resampling: Image.Resampling
) -> UInt8[Tensor, "B h w C"]:
    """Images with one axis squashed to a size."""
    shape = list(images.shape)
    outer, along = math.prod(shape[:axis]), shape[axis]
    inner = math.prod(shape[axis + 1 :])
    shape[axis] = size
    out = torch.empty(shape, dtype=torch.uint8, device=images.device)
    firsts, weights = _weights_on(along, size, resampling, images.device)
    rows = 8 if axis == 2 else 1
    block = _BLOCK // rows
    _squash[(triton.cdiv(outer, rows), triton.cdiv(size * inner, block))](
        images, firsts, weights, out, outer, along, inner, size, weights.shape[1], rows, block
    )
    return out


def squash(
    frames: UInt8[Tensor, "B H W C"], size: int, resampling: Image.Resampling, order: _Order
) -> UInt8[Tensor, "B size size C"]:
    """Frames of one size as squares."""
    axes = (2, 1) if order == "rows" else (1, 2)
    for axis in axes:
        frames = _pass(frames, axis, size, resampling)
    return frames


def squash_planes(
    frames: UInt8[Tensor, "B 3 H W"], size: int, resampling: Image.Resampling, order: _Order
) -> UInt8[Tensor, "B size size 3"]:
    """The same for frames whose colours are apart."""
    planes = squash(frames.flatten(0, 1)[..., None], size, resampling, order)
    return planes.view(-1, 3, size, size).permute(0, 2, 3, 1).contiguous()


@lru_cache(maxsize=256)
def find_order(
    height: int, width: int, size: int, resampling: Image.Resampling, device: torch.device
) -> _Order | None:
    """The pass that the installed Pillow does first for this size; None where neither fits."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(noise).resize((size, size), resampling))
    frame = torch.from_numpy(noise)[None].to(device)
    orders: tuple[_Order, _Order] = ("rows", "columns")
    for order in orders:
        if np.array_equal(squash(frame, size, resampling, order)[0].cpu().numpy(), expected):
            return order
    return None


@lru_cache(maxsize=64)
def _weights_on(
    size: int, target: int, resampling: Image.Resampling, device: torch.device
) -> tuple[Tensor, Tensor]:
    firsts, weights = resize_weights(size, target, resampling)
    return torch.from_numpy(firsts).to(device), torch.from_numpy(weights).to(device)


@lru_cache(maxsize=16)
def _levels(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> Tensor:
    """The standardised value of each byte in each channel, as the CPU computes it."""
    levels = torch.arange(256).float().expand(3, 256) / 255
    levels = (levels - torch.tensor(mean).view(3, 1)) / torch.tensor(std).view(3, 1)
    return levels.flatten().to(device)


def standardize(
    squares: UInt8[Tensor, "B size size 3"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "B 3 size size"]:
    """Bytes as a tower takes them, to the bit what `squash_bicubic` gives."""
    channel = 256 * torch.arange(3, device=squares.device).view(1, 3, 1, 1)
    return _levels(mean, std, squares.device)[squares.permute(0, 3, 1, 2).int() + channel]


def upload(frames: Sequence[UInt8[np.ndarray, "H W 3"]], device: torch.device) -> Tensor:
    """Frames of one size on the device, by way of pinned memory, without waiting for the copy."""
    staged = torch.empty((len(frames), *frames[0].shape), dtype=torch.uint8, pin_memory=True)
    views = staged.numpy()

    def copy(index: int) -> None:
        np.copyto(views[index], frames[index])

    list(_copiers().map(copy, range(len(frames))))
    return staged.to(device, non_blocking=True)


@cache
def _copiers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="upload")  # memory is as fast as four of them


def squash_on_device(
    frames: Sequence[UInt8[np.ndarray, "_ _ 3"] | UInt8[Tensor, "3 _ _"]],
    size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    resampling: Image.Resampling,
    device: torch.device,
) -> Float[Tensor, "B 3 size size"] | None:
    """The same as `squash_bicubic` to the bit, computed on the device.

    Frames that are on the device already have their colours apart. None where a frame has a size at
    which Pillow would give other bytes.
    """
    by_size: dict[tuple[bool, int, int], list[int]] = {}
    for place, frame in enumerate(frames):
        there = isinstance(frame, Tensor)
        height, width = frame.shape[1:] if there else frame.shape[:2]
        by_size.setdefault((there, height, width), []).append(place)
    parts, places = [], []
    for (there, height, width), members in by_size.items():
        order = find_order(height, width, size, resampling, device)
        if order is None:
            return None
        own: list[Any] = [frames[place] for place in members]
        if there:
            parts.append(squash_planes(torch.stack(own), size, resampling, order))
        else:
            parts.append(squash(upload(own, device), size, resampling, order))
        places += members
    squares = torch.cat(parts) if len(parts) > 1 else parts[0]
    if places != sorted(places):
        squares = squares[torch.tensor(np.argsort(places), device=device)]
    return standardize(squares, mean, std)
