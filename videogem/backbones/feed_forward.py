"""A block's feed-forward part; on a GPU its GELU is computed by the product before it.

cuBLAS applies the GELU to the sums of a product before they leave the registers, which saves a
reading and a writing of the widest tensor there is. It computes GELU by tanh: that moves values by
at most 5e-4, an eighth of what rounding to bf16 does to values near 1, so it is done in bf16 alone.
QuickGELU is none of its functions.

Source: cuBLAS, ``CUBLASLT_EPILOGUE_GELU_BIAS``; Hendrycks and Gimpel, 2016, Section 2.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@torch.library.custom_op("videogem::linear_gelu", mutates_args=())
def linear_gelu(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU(tokens weight^T + bias) over the last axis."""
    flat = tokens.flatten(0, -2)
    out: Tensor = torch.ops.aten._addmm_activation(bias, flat, weight.t(), use_gelu=True)
    return out.unflatten(0, tokens.shape[:-1])


@linear_gelu.register_fake
def _(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return tokens.new_empty((*tokens.shape[:-1], weight.shape[0]))


def feed_forward(mlp: Any, tokens: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """What the module gives, see above."""
    if not (tokens.is_cuda and tokens.dtype == torch.bfloat16 and is_plain(mlp)):
        output: Tensor = mlp(tokens)
        return output
    first, _, second = mlp
    output = second(linear_gelu(tokens, first.weight, first.bias))
    return output


def is_plain(mlp: Any) -> bool:
    """Whether a module is a product, a GELU and a product, and nothing else."""
    return (
        isinstance(mlp, nn.Sequential)
        and [type(layer) for layer in mlp] == [nn.Linear, nn.GELU, nn.Linear]
        and mlp[0].bias is not None
    )
