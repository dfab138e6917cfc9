"""Backgrounds of the demo world: strong colour noise, or soft rooms with a floor and shapes."""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

SIDE = 128
_NUM_SHAPES = 7
_NOISE_SCALES = ((3, 0.35), (7, 0.25), (16, 0.12), (64, 0.06))  # cells a side, strength


def paint_backgrounds(
    is_soft: Bool[Tensor, " B"], generator: torch.Generator
) -> Float[Tensor, "B 3 128 128"]:
    """One background per entry; those that are not soft are nothing but colour noise."""
    batch, device = len(is_soft), is_soft.device
    uniform = partial(torch.rand, generator=generator, device=device)
    soft = is_soft.float().view(batch, 1, 1, 1)
    y = torch.linspace(-1, 1, SIDE, device=device).view(1, 1, SIDE, 1)
    x = y.view(1, 1, 1, SIDE)

    colour = uniform(batch, 3, 1, 1)
    grey = colour.mean(dim=1, keepdim=True)
    saturation = uniform(batch, 1, 1, 1) * soft + (1 - soft)
    image = (grey + (colour - grey) * saturation).expand(batch, 3, SIDE, SIDE)
    slope_y, slope_x = uniform(batch, 3, 1, 1) - 0.5, uniform(batch, 3, 1, 1) - 0.5
    image = image + soft * 0.5 * (slope_y * y + slope_x * x)

    horizon = 1.6 * uniform(batch, 1, 1, 1) - 0.6
    floor = (y > horizon) * (uniform(batch, 1, 1, 1) < 0.5) * soft
    image = torch.lerp(image, 0.8 * uniform(batch, 3, 1, 1) + 0.1 - 0.2 * y, floor)
    for _ in range(_NUM_SHAPES):
        shape, paint = _shape(x, y, batch, uniform)
        image = torch.lerp(image, paint, shape * soft)
    for cells, strength in _NOISE_SCALES:
        amount = strength * uniform(batch, 1, 1, 1) * (1 - 0.75 * soft * uniform(batch, 1, 1, 1))
        noise = torch.randn(batch, 3, cells, cells, generator=generator, device=device)
        image = image + amount * F.interpolate(noise, size=(SIDE, SIDE), mode="bilinear")
    return image.clamp(0, 1)


def _shape(
    x: Float[Tensor, "1 1 1 W"],
    y: Float[Tensor, "1 1 H 1"],
    batch: int,
    uniform: "partial[Tensor]",
) -> tuple[Float[Tensor, "B 1 H W"], Float[Tensor, "B 3 1 W"]]:
    """A rectangle or ellipse: how opaque it is where, and its striped paint."""
    one = (batch, 1, 1, 1)
    u = (x - (2 * uniform(*one) - 1)) / (0.5 * uniform(*one) + 0.04)
    v = (y - (2 * uniform(*one) - 1)) / (0.5 * uniform(*one) + 0.04)
    inside = torch.where(uniform(*one) < 0.35, u * u + v * v < 1, (u.abs() < 1) & (v.abs() < 1))
    shown = uniform(*one) < 0.45
    opacity = inside * shown * (0.4 + 0.6 * uniform(*one))
    return opacity, uniform(batch, 3, 1, 1) + 0.15 * torch.sin(25 * u * uniform(*one))
