"""The demo CLIP's forward pass for training: open_clip's weights, written to compile well."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from open_clip import CLIP, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor, nn


def standardise(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Images in [0, 1] -> the input CLIP's towers expect."""
    mean = images.new_tensor(OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = images.new_tensor(OPENAI_DATASET_STD).view(3, 1, 1)
    return (images - mean) / std


def encode_images(model: CLIP, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
    """Image embeddings, not normalised; the patch convolution is one matrix product."""
    visual = model.visual
    patch = visual.patch_size[0]
    batch, _, height, width = images.shape
    patches = standardise(images).view(
        batch, 3, height // patch, patch, width // patch, patch
    )  # B 3 h p w p
    patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # B n 3pp
    positions = visual.positional_embedding
    tokens = F.linear(patches, visual.conv1.weight.flatten(1)) + positions[1:]
    class_token = (visual.class_embedding + positions[0]).expand(batch, 1, -1)
    tokens = visual.ln_pre(torch.cat([class_token.to(tokens.dtype), tokens], dim=1))
    tokens = run_blocks(visual.transformer.resblocks, tokens)
    return visual.ln_post(tokens[:, 0]) @ visual.proj


def encode_tokens(model: nn.Module, tokens: Int[Tensor, "C context"]) -> Float[Tensor, "C E"]:
    """Text embeddings of a CLIP or a ViCLIP's text tower, not normalised.

    Read at the end token, the largest id.
    """
    text: Any = model  # two libraries' classes with the same attributes
    states = text.token_embedding(tokens) + text.positional_embedding[: tokens.shape[1]]
    states = text.ln_final(run_blocks(text.transformer.resblocks, states, is_causal=True))
    ends = states[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=-1)]
    projected: Tensor = ends @ text.text_projection
    return projected


def run_blocks(
    blocks: Iterable[Any], tokens: Float[Tensor, "B N D"], *, is_causal: bool = False
) -> Float[Tensor, "B N D"]:
    """Residual attention blocks as open_clip's, with fused attention."""
    for block in blocks:
        attention = block.attn
        batch, num_tokens, width = tokens.shape
        heads = attention.num_heads
        qkv = F.linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = qkv.view(batch, num_tokens, 3, heads, width // heads).permute(
            2, 0, 3, 1, 4
        )
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
        tokens = tokens + attention.out_proj(attended.transpose(1, 2).flatten(2))
        tokens = tokens + block.mlp(block.ln_2(tokens))
    return tokens


def matching_loss(logits: Float[Tensor, "B C"], fits: Bool[Tensor, "B C"]) -> Float[Tensor, ""]:
    """Cross entropy both ways, every caption that fits an image being right to equal shares."""
    target = fits.to(logits.dtype)
    per_image = target / target.sum(dim=1, keepdim=True).clamp(min=1)
    per_caption = target / target.sum(dim=0, keepdim=True).clamp(min=1)
    of_images = -(F.log_softmax(logits, dim=1) * per_image).sum(dim=1).mean()
    of_captions = -(F.log_softmax(logits, dim=0) * per_caption).sum(dim=0).mean()
    return (of_images + of_captions) / 2


def own_caption_loss(
    logits: Float[Tensor, "B C"], fits: Bool[Tensor, "B C"], num_own: int | None = None
) -> Float[Tensor, ""]:
    """Cross entropy both ways of each own caption against the captions that do not fit.

    Captions come in runs of one per image, in the order of the images. The first ``num_own`` runs
    (None: all) are the images' own; further ones serve as wrong answers where they do not fit.
    Other captions that happen to fit count neither for nor against.
    """
    batch = len(logits)
    num_runs = num_own or logits.shape[1] // batch
    # Not -inf: a row of a tiny batch may hold no wrong caption, and its gradient would be NaN.
    wrong = logits.masked_fill(fits, -1e4)
    runs = logits.view(batch, -1, batch)[:, :num_runs]
    own = runs.diagonal(dim1=0, dim2=2)  # runs B
    over_captions = wrong.logsumexp(dim=1)
    over_images = wrong.logsumexp(dim=0).view(-1, batch)[:num_runs]
    return (F.softplus(over_captions - own).mean() + F.softplus(over_images - own).mean()) / 2
