"""What the authors' code does beside the paper, kept so that its numbers can be computed again.

- *Scopes* of attention for videos: the paper's text and the code's default are ``all``.
- ``gem6``: GEM over one block less than asked for.
- The *grid rule*: hits are tested on an integer grid of 224 x 224, with boxes rounded to it.

Source: repository of VideoGEM (its modes 0 to 4, and its evaluation); that of GEM (its loop).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from videogem.method.attention import KeptRows, iterated_attention
from videogem.method.backbone import ImageTokens
from videogem.method.settings import Scope
from videogem.metrics import Number, hit
from videogem.structures import Point

GRID = 224  # side of the reference's grid, the input size of its towers

# How much of a patch's output comes from its own stripe, and how much from the other stripes.
STRIPE_SHARES: dict[Scope, tuple[float, float]] = {
    "stripe": (1.0, 0.0),
    "other-stripes": (0.0, 1.0),
    "stripes-average": (0.5, 0.5),
    "official-eval": (0.25, 0.75),
}


def scoped_attention(
    qkv: Float[Tensor, "3 B heads N head_dim"],
    beta: Float[Tensor, " B"],
    scope: Scope,
    *,
    iterations: int = 1,
    class_output: Float[Tensor, "B heads head_dim"] | None = None,
    num_frames: int = 1,
    rows: KeptRows | None = None,
) -> Float[Tensor, "B heads R head_dim"]:
    """Self-self attention in which the class token takes no part, and maybe not every patch.

    - ``patches``: every patch to every patch.
    - ``stripe``, ``other-stripes``, ``stripes-average``, ``official-eval``: the authors' modes 1
      to 4 for videos. They cut the patch tokens into ``num_frames`` runs of consecutive tokens;
      as tokens are stored patch by patch with the frame fastest, a run is a horizontal stripe over
      all frames, not a frame. Attention to *other* stripes loses its state in the first iteration
      there, which leaves the plain mean of their values; that mean is computed here directly.

    The class token's row is ``class_output``, the block's ordinary attention at the class token
    (zero if not given). It never reaches a heatmap. With ``rows`` only these tokens are returned.
    """
    patches = qkv[..., 1:, :]
    if scope == "patches":
        attended = iterated_attention(patches, patches[2], beta, iterations)
    else:
        attended = _striped(patches, beta, iterations, *STRIPE_SHARES[scope], num_frames)
    if class_output is None:
        class_output = torch.zeros_like(attended[..., 0, :])
    attended = torch.cat([class_output.unsqueeze(-2), attended], dim=-2)
    return attended if rows is None else attended.index_select(-2, rows.index)


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
        betas = beta.repeat_interleave(num_frames)
        own = iterated_attention(stripes, stripes[2], betas, iterations)
        attended += own_share * own.unflatten(0, (batch, num_frames)).movedim(1, 2)
    if other_share:
        sums = values.sum(dim=3, keepdim=True)  # B heads stripes 1 head_dim
        others = sums.sum(dim=2, keepdim=True) - sums
        attended += other_share * others / (num_patches - num_patches // num_frames)
    return attended.flatten(2, 3)


def gem6_tokens(tokens: ImageTokens, second: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
    """GEM from the second used block on: its own code's loop leaves one block out.

    ``second`` is that block's input. VideoGEM's tables use all seven blocks.
    """
    return second + tokens.terms[2:].sum(dim=0)


def grid_box(box: Sequence[Number], size_wh: tuple[Number, Number]) -> tuple[int, int, int, int]:
    """A pixel box on the reference's 224 grid: scaled, then rounded half to even.

    For boxes in [0, 1] (DALY) the size is (1, 1).
    """
    scale_x, scale_y = GRID / size_wh[0], GRID / size_wh[1]
    x1, y1, x2, y2 = box
    return round(x1 * scale_x), round(y1 * scale_y), round(x2 * scale_x), round(y2 * scale_y)


def grid_hit(
    point: Point, boxes: Sequence[Sequence[Number]], size_wh: tuple[Number, Number]
) -> bool:
    """The reference's test: pixel index of the point, cut to an integer, against rounded boxes.

    The point is in [0, 1], the boxes are in pixels of a canvas of this size.
    """
    # Our points are pixel centres; the reference averages and cuts off pixel indices.
    pixel = [math.floor(value * GRID - 0.5 + 1e-6) for value in point]
    return hit(pixel, [grid_box(box, size_wh) for box in boxes])
