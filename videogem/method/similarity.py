"""Cosines between patches and prompts: the weighted GEM of Section 3.3, and the baselines."""

from functools import partial
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.baselines import baseline_tokens
from videogem.method.layer_weights import layer_weights
from videogem.method.rows import never_alone
from videogem.method.settings import MethodSettings


def patch_similarities(
    backbone: Backbone,
    tokens: ImageTokens,
    embeddings: Float[Tensor, "B P E"],
    settings: MethodSettings,
) -> Float[Tensor, "B P h w frames"]:
    """Cosine of every patch with every prompt of its sample, by the method in ``settings``."""
    if settings.method == "videogem":
        similarities = _weighted_gem(backbone, tokens, embeddings, settings)
    else:
        features = backbone.project(baseline_tokens(tokens, settings.method)[:, 1:])
        similarities = _cosines(embeddings, features)
    return similarities.unflatten(-1, tokens.grid)


def upsample(
    similarities: Float[Tensor, "*P h w"], size_hw: tuple[int, int]
) -> Float[Tensor, "*P H W"]:
    """Patch similarities of one frame at the resolution of the tower's input (bilinear)."""
    # Each as a picture of its own: PyTorch takes three in one for colours, and rounds otherwise.
    maps = similarities.float().flatten(0, -3)[:, None]
    maps = F.interpolate(maps, size=size_hw, mode="bilinear", align_corners=False)
    return maps[:, 0].unflatten(0, similarities.shape[:-2])


def frame_similarities(
    backbone: Backbone, tokens: ImageTokens, embeddings: Float[Tensor, "B P E"]
) -> Float[Tensor, "B P"]:
    """Cosine of the whole frame (or clip), its class embedding, with every prompt."""
    features = F.normalize(backbone.project(tokens.class_path[-1].float()), dim=-1)
    return never_alone(partial(torch.einsum, "bpe,be->bp"), embeddings, features)


def ablated_similarities(
    backbone: Backbone,
    tokens: ImageTokens,
    embeddings: Float[Tensor, "B P E"],
    num_blocks: int,
) -> Float[Tensor, "B P D"]:
    """Cosine of each prompt with the class embedding less one block's own contribution (Eq. 8).

    The contribution is taken out before the final layer norm and the projection, as in the
    authors' code; the paper's equation compares raw vectors, whose width differs from the text's.
    """
    class_tokens = tokens.class_path[-num_blocks - 1 :].float()  # D+1 B D
    contributions = class_tokens[1:] - class_tokens[:-1]
    features = F.normalize(backbone.project(class_tokens[-1] - contributions), dim=-1)
    return torch.einsum("bpe,kbe->bpk", embeddings, features)


def _weighted_gem(
    backbone: Backbone,
    tokens: ImageTokens,
    embeddings: Float[Tensor, "B P E"],
    settings: MethodSettings,
) -> Float[Tensor, "B P n"]:
    terms = tokens.terms[:, :, 1:]  # K+1 B n D
    weights = layer_weights(
        settings.weights,
        ablated_similarities(backbone, tokens, embeddings, settings.dynamic_blocks),
        depth=settings.depth,
        static_weights=settings.static_weights,
        inverse_temperature=settings.dynamic_inverse_temperature,
    )
    if final := _kernel_layers(backbone, terms):
        from videogem.method.cuda_similarity import weighted_similarities

        return weighted_similarities(terms, weights, *final, embeddings)
    weights = weights.to(terms.dtype)
    if settings.weights in ("none", "static"):  # equal for all prompts: project once
        features = backbone.project(torch.einsum("k,kbnd->bnd", weights[0, 0], terms))
        return _cosines(embeddings, features)
    features = backbone.project(torch.einsum("bpk,kbnd->bpnd", weights, terms))
    units = F.normalize(features.float(), dim=-1)
    return never_alone(partial(torch.einsum, "bpne,bpe->bpn"), units, embeddings)


def _cosines(
    embeddings: Float[Tensor, "B P E"], features: Float[Tensor, "B n E"]
) -> Float[Tensor, "B P n"]:
    """Of every prompt with every patch of its sample."""
    return never_alone(torch.matmul, embeddings, F.normalize(features.float(), dim=-1).mT)


def _kernel_layers(backbone: Backbone, terms: Tensor) -> tuple[nn.LayerNorm, Tensor] | None:
    """The layers of `Backbone.project` where kernels stand for them; see `cuda_similarity`."""
    layers: tuple[nn.LayerNorm, Tensor] | None = getattr(backbone, "final_layers", None)
    if layers is None or not terms.is_cuda or find_spec("triton") is None:
        return None
    from videogem.method.cuda_similarity import fits

    return layers if fits(terms, layers[0]) else None
