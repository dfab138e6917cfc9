"""Self-self attention in single precision on a processor, a third faster than attention in general.

Queries, keys and values attend to themselves as unit vectors, which allows three things:

- No logit is beyond the inverse temperature, so no row's largest is looked for before exponents.
- A step that is followed by a normalisation needs no denominators: they only change the length.
- The last step attends to the same values three times. So the mean is taken of the three matrices
  of weights, and multiplied with the values once.

Rows are computed some at a time, so that their weights stay in the cache of a core.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

CACHED = 400_000  # weights at a time: 1.6 MB
FEWEST_ROWS = 128  # of which products are fast
LARGEST_LOGIT = 60.0  # whose exponent, summed over all tokens, is a number of single precision


def fits(projections: Float[Tensor, "3 B heads N head_dim"]) -> bool:
    """Whether `self_self` computes this: single precision on the CPU, without a graph."""
    return (
        projections.is_cpu
        and projections.dtype == torch.float32
        and not (torch.is_grad_enabled() and projections.requires_grad)
        and not torch.compiler.is_compiling()
    )


def self_self(
    projections: Float[Tensor, "3 B heads N head_dim"],
    values: Float[Tensor, "B heads N head_dim"],
    beta: Float[Tensor, " B"],
    iterations: int,
    index: Tensor | None,
) -> Float[Tensor, "B heads R head_dim"]:
    """What `iterated_attention` says; of the rows at ``index`` alone, where there is one."""
    num_heads, num_tokens = projections.shape[2:4]
    heads_at_once = max(CACHED // (3 * num_tokens**2), 1)
    found = []
    for sample, scale in enumerate(beta.tolist()):
        for first in range(0, num_heads, heads_at_once):
            heads = slice(first, first + heads_at_once)
            state = F.normalize(projections[:, sample, heads], dim=-1).flatten(0, 1)
            for _ in range(iterations):
                rows = [weights @ state for weights in _weights(state, state, scale)]
                state = F.normalize(torch.cat(rows, dim=1), dim=-1)
            queries = state if index is None else state.index_select(1, index)
            rows = [
                _mean(weights) @ values[sample, heads]
                for weights in _weights(queries, state, scale)
            ]
            found.append(torch.cat(rows, dim=1))
    return torch.cat(found).unflatten(0, (-1, num_heads))


def _weights(
    queries: Float[Tensor, "n R head_dim"], state: Float[Tensor, "n N head_dim"], scale: float
) -> Iterator[Float[Tensor, "n r N"]]:
    """Attention of some rows after the other, not divided by its sum; each is used before the next.

    All are written to the same memory: fresh pages cost more than the exponents.
    """
    count, num_tokens = state.shape[:2]
    size = min(max(CACHED // (count * num_tokens), FEWEST_ROWS), queries.shape[1])
    memory = queries.new_empty(count * size * num_tokens)
    for part in queries.split(size, dim=1):
        weights = memory[: count * part.shape[1] * num_tokens].view(count, -1, num_tokens)
        torch.baddbmm(weights, part, state.mT, beta=0, alpha=scale, out=weights)
        if scale > LARGEST_LOGIT:
            weights -= scale
        yield weights.exp_()


def _mean(weights: Float[Tensor, "n R N"]) -> Float[Tensor, "heads R N"]:
    """The mean of the three projections' attention; the weights are overwritten."""
    weights = weights.unflatten(0, (3, -1))
    share = (3 * weights.sum(dim=-1, keepdim=True)).reciprocal_()
    first, second, third = weights
    return first.mul_(share[0]).addcmul_(second, share[1]).addcmul_(third, share[2])
