"""Peaks and regions of many heatmaps on CUDA: one Triton program a map, no synchronisation.

A map's level pixels are packed into words of 32, so that a whole map fits into registers, and a
region grows from its first pixel by a ring of neighbours at a time until it stays as it is. The
numbers are whole, so what comes out equals `peak_pixel` and `peak_region` exactly.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from videogem.method.heatmaps import LEVEL

MAX_SIDE = 512  # pixels; a larger map does not fit into a program's registers
STEPS = 4  # rings grown between two looks whether anything still grows


@triton.jit
def _count(words):
    """Set bits of each word."""
    words = words - ((words >> 1) & 0x55555555)
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    return ((words * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def _lowest(words):
    """Place of the lowest set bit; 32 for none."""
    return _count((words ^ 0xFFFFFFFF) & (words - 1))


@triton.jit
def _highest(words):
    """Place of the highest set bit; -1 for none."""
    words = words | (words >> 1)
    words = words | (words >> 2)
    words = words | (words >> 4)
    words = words | (words >> 8)
    words = words | (words >> 16)
    return _count(words) - 1


@triton.jit
def _sum_of_places(words):
    """Sum of the places of all set bits."""
    total = _count(words & 0xAAAAAAAA) + 2 * _count(words & 0xCCCCCCCC)
    total += 4 * _count(words & 0xF0F0F0F0) + 8 * _count(words & 0xFF00FF00)
    return total + 16 * _count(words & 0xFFFF0000)


@triton.jit
def _pack(heatmap, least, height, width, ROWS: tl.constexpr, WORDS: tl.constexpr):
    """Words of the pixels that are at least so high, [ROWS, WORDS]."""
    row = tl.arange(0, ROWS)[:, None]
    bit = tl.arange(0, 32)[None, :]
    place = tl.arange(0, WORDS)[None, :]
    words = tl.zeros((ROWS, WORDS), tl.uint32)
    for word in range(WORDS):
        column = 32 * word + bit
        inside = (row < height) & (column < width)
        values = tl.load(heatmap + row * width + column, mask=inside, other=0.0)
        bits = ((values >= least) & inside).to(tl.uint32) << bit.to(tl.uint32)
        packed = tl.sum(bits, 1).to(tl.uint32)
        words = tl.where(place == word, packed[:, None], words)
    return words


@triton.jit
def _pixel(row, column, ROWS: tl.constexpr, WORDS: tl.constexpr):
    """Words in which this one pixel is set."""
    rows = tl.arange(0, ROWS)[:, None]
    words = tl.arange(0, WORDS)[None, :]
    bit = (tl.full((1, 1), 1, tl.uint32) << (column % 32).to(tl.uint32)).to(tl.uint32)
    return tl.where((rows == row) & (words == column // 32), bit, 0).to(tl.uint32)


@triton.jit
def _grow(seed, level, ROWS: tl.constexpr, WORDS: tl.constexpr, STEPS: tl.constexpr):
    """All level pixels that are connected with the seed, corners included."""
    rows = tl.arange(0, ROWS)[:, None] + tl.zeros((ROWS, WORDS), tl.int32)
    words = tl.arange(0, WORDS)[None, :] + tl.zeros((ROWS, WORDS), tl.int32)
    above, below = tl.maximum(rows - 1, 0), tl.minimum(rows + 1, ROWS - 1)
    before, after = tl.maximum(words - 1, 0), tl.minimum(words + 1, WORDS - 1)
    region = seed
    growing = 1
    while growing > 0:
        last = region
        for _ in range(STEPS):
            carried = tl.where(words > 0, tl.gather(region, before, 1) >> 31, 0)
            borrowed = tl.where(words < WORDS - 1, tl.gather(region, after, 1) << 31, 0)
            wide = region | (region << 1) | carried | (region >> 1) | borrowed
            wide = wide | tl.gather(wide, above, 0) | tl.gather(wide, below, 0)
            region = (wide & level).to(tl.uint32)
        growing = tl.sum((region != last).to(tl.int32))
    return region


@triton.jit
def _find(
    heatmaps,
    levels,
    out,
    height,
    width,
    threshold,
    ROWS: tl.constexpr,
    WORDS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Row and column of a map's peak; left, top, right, bottom of the region round it."""
    number = tl.program_id(0)
    heatmap = heatmaps + number.to(tl.int64) * height * width
    rows = tl.arange(0, ROWS)[:, None] + tl.zeros((ROWS, WORDS), tl.int32)
    words = tl.arange(0, WORDS)[None, :] + tl.zeros((ROWS, WORDS), tl.int32)
    far = 2147483647

    level = _pack(heatmap, tl.load(levels + number), height, width, ROWS, WORDS)
    first = tl.where(level != 0, rows * width + 32 * words + _lowest(level), far)
    first = tl.minimum(tl.min(tl.min(first, 1), 0), height * width - 1)
    seed = _pixel(first // width, first % width, ROWS, WORDS)
    plateau = _grow(seed, level, ROWS, WORDS, STEPS)

    # The pixel nearest to the centre, in whole numbers: distances times the number of pixels.
    count = _count(plateau)
    num = tl.sum(tl.sum(count, 1), 0).to(tl.int64)
    sum_rows = tl.sum(tl.sum(rows.to(tl.int64) * count, 1), 0)
    sum_columns = tl.sum(tl.sum((32 * words * count + _sum_of_places(plateau)).to(tl.int64), 1), 0)
    down = num * rows - sum_rows
    nearest = tl.full((ROWS, WORDS), 9223372036854775807, tl.int64)
    place = tl.full((ROWS, WORDS), far, tl.int32)
    for bit in range(32):
        column = 32 * words + bit
        across = num * column - sum_columns
        distance = down * down + across * across
        closer = (((plateau >> bit) & 1) != 0) & (distance < nearest)
        nearest = tl.where(closer, distance, nearest)
        place = tl.where(closer, rows * width + column, place)
    least = tl.min(tl.min(nearest, 1), 0)
    peak = tl.min(tl.min(tl.where(nearest == least, place, far), 1), 0)
    peak = tl.minimum(peak, height * width - 1)
    seed = _pixel(peak // width, peak % width, ROWS, WORDS)

    level = _pack(heatmap, threshold, height, width, ROWS, WORDS) | seed
    region = _grow(seed, level, ROWS, WORDS, STEPS)
    there = region != 0
    left = tl.min(tl.min(tl.where(there, 32 * words + _lowest(region), far), 1), 0)
    right = tl.max(tl.max(tl.where(there, 32 * words + _highest(region), -1), 1), 0) + 1
    top = tl.min(tl.min(tl.where(there, rows, far), 1), 0)
    bottom = tl.max(tl.max(tl.where(there, rows, -1), 1), 0) + 1

    to = out + number * 6
    tl.store(to, peak // width)
    tl.store(to + 1, peak % width)
    tl.store(to + 2, left)
    tl.store(to + 3, top)
    tl.store(to + 4, right)
    tl.store(to + 5, bottom)


def peaks_and_regions(heatmaps: Float[Tensor, "M H W"], threshold: float) -> Int[Tensor, "M 6"]:
    """Row and column of each peak, then left, top, right and bottom of the region round it.

    The maps lie in [0, 1]; a constant one is 0.
    """
    number, height, width = heatmaps.shape
    heatmaps = heatmaps.float().contiguous()
    # As numpy computes them in `peak_pixel`, in fp32.
    top = heatmaps.amax(dim=(1, 2))
    levels = top - LEVEL * (top - heatmaps.amin(dim=(1, 2)))
    out = torch.empty((number, 6), dtype=torch.int32, device=heatmaps.device)
    _find[(number,)](
        heatmaps,
        levels,
        out,
        height,
        width,
        threshold - LEVEL,
        ROWS=triton.next_power_of_2(height),
        WORDS=triton.next_power_of_2(triton.cdiv(width, 32)),
        STEPS=STEPS,
    )
    return out


def fits(size_hw: tuple[int, int]) -> bool:
    """Whether maps of this size fit into a program's registers."""
    return max(size_hw) <= MAX_SIDE
