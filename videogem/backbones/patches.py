"""The first layer of a tower: pictures as patches, and the table of their positions."""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def embed_patches(
    convolution: nn.Module, pixels: Float[Tensor, "B 3 H W"]
) -> tuple[Float[Tensor, "B n D"], tuple[int, int]]:
    """Patches that do not overlap through a convolution, row by row, and their grid.

    The convolution is in two dimensions or, of a video tower, in three, the first of which is 1.
    What it computes is one matrix product, and on a GPU it is computed as such: convolutions of so
    few channels are slow there.
    """
    layer: Any = convolution
    *_, height, width = layer.weight.shape
    weight = layer.weight.reshape(len(layer.weight), 3, height, width)
    rows, columns = pixels.shape[-2] // height, pixels.shape[-1] // width
    pixels = pixels[..., : rows * height, : columns * width].to(weight.dtype)
    if not pixels.is_cuda:
        patches = F.conv2d(pixels, weight, layer.bias, stride=(height, width))
        return patches.flatten(2).transpose(1, 2), (rows, columns)
    return F.linear(cut(pixels, height, width), weight.flatten(1), layer.bias), (rows, columns)


def cut(pixels: Float[Tensor, "B 3 H W"], height: int, width: int) -> Float[Tensor, "B n d"]:
    """The values of each patch in a row, channel by channel, as a convolution weights them."""
    cells = pixels.unflatten(-1, (-1, width)).unflatten(-3, (-1, height))  # B 3 rows h columns w
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def resize_positions(
    positions: Float[Tensor, "n D"], grid_hw: tuple[int, int]
) -> Float[Tensor, "m D"]:
    """A square table of patch positions, resized to another grid (bicubic, antialiased)."""
    side = round(positions.shape[0] ** 0.5)
    if (side, side) == grid_hw:
        return positions
    table = positions.T.reshape(1, -1, side, side)
    table = F.interpolate(table, size=grid_hw, mode="bicubic", antialias=True, align_corners=False)
    return table.flatten(2)[0].T
