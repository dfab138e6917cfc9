"""How much each block's self-self output counts, per prompt (Section 3.3)."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from videogem.method.settings import STATIC_WEIGHTS, WeightMethod, check_static_weights


def layer_weights(
    method: WeightMethod,
    similarities: Float[Tensor, "*P D"],
    *,
    depth: int,
    static_weights: tuple[float, ...] = STATIC_WEIGHTS,
    inverse_temperature: float = 20.0,
) -> Float[Tensor, "*P K1"]:
    """Weights of the K + 1 residual terms for each prompt; they need not sum to one.

    ``similarities`` are those of the last D blocks, see `dynamic_weights`.

    The authors' code adds the dynamic weights to the (static or unit) ones and takes off their
    mean 1/D, so that they redistribute weight among the last D terms; the paper's Eq. 10 shows
    the dynamic weights alone. We follow the code, whose numbers are the published ones.

    Raises:
        InputError: the static table does not have depth + 1 entries.
    """
    num_dynamic = similarities.shape[-1]
    shape = (*similarities.shape[:-1], depth + 1)
    if method in ("static", "combined"):
        check_static_weights(static_weights, depth)
        weights = _on_device(static_weights, similarities.device).to(similarities.dtype)
        weights = weights.expand(shape)
    else:
        weights = similarities.new_ones(shape)
    if method in ("dynamic", "combined"):
        change = dynamic_weights(similarities, inverse_temperature) - 1 / num_dynamic
        weights = weights + F.pad(change, (depth + 1 - num_dynamic, 0))
    return weights


@lru_cache(maxsize=64)
def _on_device(values: tuple[float, ...], device: torch.device) -> Float[Tensor, " K1"]:
    """Numbers that are copied to a device once: a copy in every call would stop a GPU's queue."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device)


def dynamic_weights(
    similarities: Float[Tensor, "*P D"], inverse_temperature: float = 20.0
) -> Float[Tensor, "*P D"]:
    """Softmax over blocks of how much the class embedding loses without each block (Eq. 8, 9).

    ``similarities`` are cosines between the prompt and the class embedding with one block's own
    contribution taken out; the lower, the more that block matters to this prompt.
    """
    return torch.softmax(-inverse_temperature * similarities, dim=-1)
