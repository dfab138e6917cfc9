"""Cosines between patches and prompts: the weighted GEM of Section 3.3, and the baselines."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.baselines import baseline_tokens
from videogem.method.layer_weights import layer_weights
from videogem.method.settings import MethodSettings


def patch_similarities(
    backbone: Backbone,
    tokens: ImageTokens,
    embeddings: Float[Tensor, "P E"],
    settings: MethodSettings,
) -> Float[Tensor, "P h w frames"]:
    """Cosine of every patch of one sample with every prompt, by the method in ``settings``."""
    if settings.method == "videogem":
        similarities = _weighted_gem(backbone, tokens, embeddings, settings)
    else:
        features = backbone.project(baseline_tokens(tokens, settings.method)[0, 1:])
        similarities = embeddings @ F.normalize(features, dim=-1).T  # P n
    return similarities.unflatten(-1, tokens.grid)


def upsample(
    similarities: Float[Tensor, "P h w"], size_hw: tuple[int, int]
) -> Float[np.ndarray, "P H W"]:
    """Patch similarities of one frame at the resolution of the tower's input (bilinear)."""
    maps = F.interpolate(similarities[None], size=size_hw, mode="bilinear", align_corners=False)
    return maps[0].float().cpu().numpy()


def frame_similarities(
    backbone: Backbone, tokens: ImageTokens, embeddings: Float[Tensor, "P E"]
) -> Float[Tensor, " P"]:
    """Cosine of the whole frame (or clip), its class embedding, with every prompt."""
    return embeddings @ F.normalize(backbone.project(tokens.output[0, 0]), dim=-1)


def ablated_similarities(
    backbone: Backbone, tokens: ImageTokens, embeddings: Float[Tensor, "P E"], num_blocks: int
) -> Float[Tensor, "P D"]:
    """Cosine of each prompt with the class embedding less one block's own contribution (Eq. 8).

    The contribution is taken out before the final layer norm and the projection, as in the
    authors' code; the paper's equation compares raw vectors, whose width differs from the text's.
    """
    class_tokens = tokens.class_path[-num_blocks - 1 :, 0]  # D+1 D
    contributions = class_tokens[1:] - class_tokens[:-1]
    features = F.normalize(backbone.project(class_tokens[-1] - contributions), dim=-1)
    return embeddings @ features.T


def _weighted_gem(
    backbone: Backbone,
    tokens: ImageTokens,
    embeddings: Float[Tensor, "P E"],
    settings: MethodSettings,
) -> Float[Tensor, "P n"]:
    terms = torch.cat([tokens.residual[:1], tokens.self_self])[:, 0, 1:]  # K+1 n D
    weights = layer_weights(
        settings.weights,
        ablated_similarities(backbone, tokens, embeddings, settings.dynamic_blocks),
        depth=settings.depth,
        static_weights=settings.static_weights,
        temperature=settings.dynamic_temperature,
    )
    if settings.weights in ("none", "static"):  # equal for all prompts: project once
        features = backbone.project(torch.einsum("k,knd->nd", weights[0], terms))
        return embeddings @ F.normalize(features, dim=-1).T
    features = backbone.project(torch.einsum("pk,knd->pnd", weights, terms))
    return torch.einsum("pne,pe->pn", F.normalize(features, dim=-1), embeddings)
