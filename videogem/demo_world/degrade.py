"""What cameras and codecs do to a picture: shifted colours, blur, 8x8 blocks."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_LUMA = (0.3, 0.59, 0.11)
_BLURRED_SHARE, _BLOCKED_SHARE = 0.2, 0.15
_BLUR_SIDES = (96, 112, 144, 176)
_BLOCK = 8


def shift_colours(
    images: Float[Tensor, "B 3 H W"], generator: torch.Generator
) -> Float[Tensor, "B 3 H W"]:
    """Random brightness, contrast and saturation per image; values may leave [0, 1]."""
    batch, device = len(images), images.device
    uniform = partial(torch.rand, batch, 1, 1, generator=generator, device=device)
    brightness, contrast = 0.75 + 0.5 * uniform(), 0.7 + 0.5 * uniform()
    saturation = 0.5 + 0.7 * uniform()
    grey = torch.tensor(_LUMA, device=device).expand(3, 3)
    matrix = saturation * torch.eye(3, device=device) + (1 - saturation) * grey
    matrix = matrix * (brightness * contrast)
    shifted = torch.baddbmm((0.5 * (1 - contrast)), matrix, images.flatten(2))
    return shifted.view_as(images)


def degrade(
    images: Float[Tensor, "B 3 H W"], generator: torch.Generator
) -> Float[Tensor, "B 3 H W"]:
    """Blur the first fifth of the batch, quantise 8x8 blocks of the next 15 percent."""
    first = int(_BLURRED_SHARE * len(images))
    second = first + int(_BLOCKED_SHARE * len(images))
    if first:
        choice = torch.randint(len(_BLUR_SIDES), (), generator=generator, device=images.device)
        images[:first] = blur(images[:first], _BLUR_SIDES[int(choice)])
    if second > first:
        images[first:second] = quantise_blocks(images[first:second], generator)
    return images


def blur(images: Float[Tensor, "B 3 H W"], side: int) -> Float[Tensor, "B 3 H W"]:
    """Shrink to ``side`` pixels and enlarge again."""
    small = F.interpolate(images, size=(side, side), mode="bilinear")
    return F.interpolate(small, size=images.shape[-2:], mode="bilinear")


def quantise_blocks(
    images: Float[Tensor, "B 3 H W"], generator: torch.Generator
) -> Float[Tensor, "B 3 H W"]:
    """Round the cosine transform of every 8x8 block, coarser at high frequencies, as JPEG does."""
    device, dtype = images.device, images.dtype
    k = torch.arange(_BLOCK, device=device).float()
    basis = torch.cos((2 * k + 1) * k[:, None] * math.pi / (2 * _BLOCK)) / 2
    basis[0] /= math.sqrt(2)
    basis = basis.to(dtype)
    strength = 0.01 + 0.05 * torch.rand(len(images), generator=generator, device=device)
    steps = strength.view(-1, 1, 1, 1, 1, 1) * (1 + k[:, None] + k).view(1, 1, 1, _BLOCK, 1, _BLOCK)
    steps = steps.to(dtype)
    rows, columns = images.shape[2] // _BLOCK, images.shape[3] // _BLOCK
    blocks = images.reshape(len(images), 3, rows, _BLOCK, columns, _BLOCK)
    waves = torch.einsum("ij,bcmjnk,lk->bcminl", basis, blocks, basis)
    waves = (waves / steps).round() * steps
    return torch.einsum("ji,bcmjnl,lk->bcmink", basis, waves, basis).reshape_as(images).clamp(0, 1)
