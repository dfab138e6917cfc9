"""Peaks and regions of many heatmaps on CUDA: one Triton program a map, no synchronisation.

Heatmaps are bilinear between patches, so a map's pixels are computed from them wherever they are
looked at, and no map is ever in memory. Its level pixels are packed into words of 32, so that a
whole map fits into registers, and a region grows along rows and columns as far as it goes, and a
ring of neighbours further, until it stays as it is. The numbers are whole, so what comes out equals
`peak_pixel` and `peak_region` exactly.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from videogem.method.heatmaps import LEVEL

MAX_SIDE = 512  # pixels; a larger map does not fit into a program's registers
WARPS = 8


@triton.jit
@no_type_check
def _count(words):
    """Set bits of each word."""
    words = words - ((words >> 1) & 0x55555555)
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    return ((words * 0x01010101) >> 24).to(tl.int32)


@triton.jit
@no_type_check
def _lowest(words):
    """Place of the lowest set bit; 32 for none."""
    return _count((words ^ 0xFFFFFFFF) & (words - 1))


@triton.jit
@no_type_check
def _highest(words):
    """Place of the highest set bit; -1 for none."""
    words = words | (words >> 1)
    words = words | (words >> 2)
    words = words | (words >> 4)
    words = words | (words >> 8)
    words = words | (words >> 16)
    return _count(words) - 1


@triton.jit
@no_type_check
def _sum_of_places(words):
    """Sum of the places of all set bits."""
    total = _count(words & 0xAAAAAAAA) + 2 * _count(words & 0xCCCCCCCC)
    total += 4 * _count(words & 0xF0F0F0F0) + 8 * _count(words & 0xFF00FF00)
    return total + 16 * _count(words & 0xFFFF0000)


@triton.jit
@no_type_check
def _between(pixels, cells, size):
    """The two cells that pixels lie between, and their share of the second, as torch has it."""
    source = tl.maximum((cells.to(tl.float32) / size) * (pixels + 0.5) - 0.5, 0.0)
    first = tl.minimum(source.to(tl.int32), cells - 1)
    return first, tl.minimum(first + 1, cells - 1), source - first


@triton.jit
@no_type_check
def _values(patches, row, column, rows, columns, height, width):
    """Upsampled values at pixels (rows [R, 1], columns [1, C]): [R, C]."""
    top, bottom, down = _between(row, rows, height)
    left, right, across = _between(column, columns, width)
    # Steps from the first cell to the second: those of a constant map are 0, not rounding.
    upper = tl.load(patches + top * columns + left)
    upper += across * (tl.load(patches + top * columns + right) - upper)
    lower = tl.load(patches + bottom * columns + left)
    lower += across * (tl.load(patches + bottom * columns + right) - lower)
    return upper + down * (lower - upper)


@triton.jit
@no_type_check
def _range(patches, rows, columns, height, width, ROWS: tl.constexpr, WORDS: tl.constexpr):
    """The lowest and the highest of a map's values."""
    row = tl.minimum(tl.arange(0, ROWS), height - 1)[:, None]
    word = 32 * tl.arange(0, WORDS)[None, :]
    lowest = tl.full((ROWS, WORDS), float("inf"), tl.float32)
    highest = tl.full((ROWS, WORDS), float("-inf"), tl.float32)
    for bit in range(32):
        column = tl.minimum(word + bit, width - 1)
        values = _values(patches, row, column, rows, columns, height, width)
        lowest, highest = tl.minimum(lowest, values), tl.maximum(highest, values)
    return tl.min(tl.min(lowest, 1), 0), tl.max(tl.max(highest, 1), 0)


@triton.jit
@no_type_check
def _pack(
    patches, low, span, least, rows, columns, height, width,
    ROWS: tl.constexpr, WORDS: tl.constexpr,
):  # fmt: skip
    """Words of the pixels whose value, from 0 to 1, is at least so high, [ROWS, WORDS]."""
    row = tl.arange(0, ROWS)[:, None]
    word = 32 * tl.arange(0, WORDS)[None, :]
    words = tl.zeros((ROWS, WORDS), tl.uint32)
    for bit in range(32):
        column = word + bit
        inside = (row < height) & (column < width)
        values = _values(
            patches, tl.minimum(row, height - 1), tl.minimum(column, width - 1),
            rows, columns, height, width,
        )  # fmt: skip
        values = tl.div_rn(values - low, span + tl.zeros_like(values))
        words |= ((values >= least) & inside).to(tl.uint32) << bit
    return words


@triton.jit
@no_type_check
def _pixel(row, column, ROWS: tl.constexpr, WORDS: tl.constexpr):
    """Words in which this one pixel is set."""
    rows = tl.arange(0, ROWS)[:, None]
    words = tl.arange(0, WORDS)[None, :]
    bit = (tl.full((1, 1), 1, tl.uint32) << (column % 32).to(tl.uint32)).to(tl.uint32)
    return tl.where((rows == row) & (words == column // 32), bit, 0).to(tl.uint32)


@triton.jit
@no_type_check
def _along(region, level):
    """A region filled along each word, both ways."""
    up, upward = region, level
    down, downward = region, level
    for power in tl.static_range(5):
        up |= upward & (up << (1 << power))
        upward &= upward << (1 << power)
        down |= downward & (down >> (1 << power))
        downward &= downward >> (1 << power)
    return up | down


@triton.jit
@no_type_check
def _through(before, open_before, here, open_here):
    """What two rows in turn pass on: the seed of the first goes on where the second is open."""
    return here | (open_here & before), open_before & open_here


@triton.jit
@no_type_check
def _grow(seed, level, ROWS: tl.constexpr, WORDS: tl.constexpr):
    """All level pixels that are connected with the seed, corners included."""
    rows = tl.arange(0, ROWS)[:, None] + tl.zeros((ROWS, WORDS), tl.int32)
    words = tl.arange(0, WORDS)[None, :] + tl.zeros((ROWS, WORDS), tl.int32)
    above, below = tl.maximum(rows - 1, 0), tl.minimum(rows + 1, ROWS - 1)
    before, after = tl.maximum(words - 1, 0), tl.minimum(words + 1, WORDS - 1)
    region = seed
    growing = 1
    while growing > 0:
        last = region
        region = _along(region, level)
        carried = tl.where(words > 0, tl.gather(region, before, 1) >> 31, 0)
        borrowed = tl.where(words < WORDS - 1, tl.gather(region, after, 1) << 31, 0)
        wide = region | (region << 1) | carried | (region >> 1) | borrowed
        wide = wide | tl.gather(wide, above, 0) | tl.gather(wide, below, 0)
        region = (wide & level).to(tl.uint32)
        region = tl.associative_scan((region, level), 0, _through)[0]
        region = tl.associative_scan((region, level), 0, _through, reverse=True)[0]
        growing = tl.sum((region != last).to(tl.int32))
    return region


@triton.jit
@no_type_check
def _find(
    patches,
    out,
    grid_rows,
    grid_columns,
    height,
    width,
    threshold,
    tolerance,
    ROWS: tl.constexpr,
    WORDS: tl.constexpr,
):
    """Lowest and highest value of a map; row and column of its peak; the region round that."""
    number = tl.program_id(0)
    patches = patches + number.to(tl.int64) * grid_rows * grid_columns
    rows = tl.arange(0, ROWS)[:, None] + tl.zeros((ROWS, WORDS), tl.int32)
    words = tl.arange(0, WORDS)[None, :] + tl.zeros((ROWS, WORDS), tl.int32)
    far = 2147483647

    low, high = _range(patches, grid_rows, grid_columns, height, width, ROWS, WORDS)
    flat = high == low  # a constant map is 0 everywhere
    span = tl.where(flat, 1.0, high - low)
    least = tl.where(flat, 0.0, 1.0 - tolerance)
    level = _pack(patches, low, span, least, grid_rows, grid_columns, height, width, ROWS, WORDS)
    first = tl.where(level != 0, rows * width + 32 * words + _lowest(level), far)
    first = tl.minimum(tl.min(tl.min(first, 1), 0), height * width - 1)
    seed = _pixel(first // width, first % width, ROWS, WORDS)
    plateau = _grow(seed, level, ROWS, WORDS)

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

    level = seed | _pack(
        patches, low, span, threshold, grid_rows, grid_columns, height, width, ROWS, WORDS
    )
    region = _grow(seed, level, ROWS, WORDS)
    there = region != 0
    left = tl.min(tl.min(tl.where(there, 32 * words + _lowest(region), far), 1), 0)
    right = tl.max(tl.max(tl.where(there, 32 * words + _highest(region), -1), 1), 0) + 1
    top = tl.min(tl.min(tl.where(there, rows, far), 1), 0)
    bottom = tl.max(tl.max(tl.where(there, rows, -1), 1), 0) + 1

    to = out + number * 8
    tl.store(to, low)
    tl.store(to + 1, high)
    tl.store(to + 2, (peak // width).to(tl.float32))
    tl.store(to + 3, (peak % width).to(tl.float32))
    tl.store(to + 4, left.to(tl.float32))
    tl.store(to + 5, top.to(tl.float32))
    tl.store(to + 6, right.to(tl.float32))
    tl.store(to + 7, bottom.to(tl.float32))


def peaks_and_regions(
    patches: Float[Tensor, "M h w"], size_hw: tuple[int, int], threshold: float
) -> Float[Tensor, "M 8"]:
    """Of each map, upsampled from its patches: what `_find` says.

    Numbers of pixels are far below 2^24, up to which fp32 holds whole numbers exactly.
    """
    number, grid_rows, grid_columns = patches.shape
    height, width = size_hw
    out = torch.empty((number, 8), dtype=torch.float32, device=patches.device)
    _find[(number,)](
        patches.float().contiguous(),
        out,
        grid_rows,
        grid_columns,
        height,
        width,
        threshold - LEVEL,
        LEVEL,
        ROWS=triton.next_power_of_2(height),
        WORDS=triton.next_power_of_2(triton.cdiv(width, 32)),
        num_warps=WARPS,
    )
    return out


def fits(size_hw: tuple[int, int]) -> bool:
    """Whether maps of this size fit into a program's registers."""
    return max(size_hw) <= MAX_SIDE
