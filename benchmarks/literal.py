"""VideoGEM written down literally: explicit N x N attention, full-length text, nothing kept.

This is what the equations say step by step (combined weights, adaptive inverse temperature), for
one frame of an open_clip ViT or one clip of a ViCLIP. It is slow on purpose; `cpu_frame.py` and
`cpu_clip.py` measure against it, and the tests compare numbers with it.
"""

from typing import Any

import torch
import torch.nn.functional as F
from open_clip import CLIP
from torch import Tensor

from videogem.backbones.viclip import ViCLIP
from videogem.method.layer_weights import STATIC_WEIGHTS


def attend(queries: Tensor, keys: Tensor, values: Tensor, scale: Tensor | float) -> Tensor:
    """Attention with its matrix spelled out."""
    return torch.softmax(scale * queries @ keys.transpose(-1, -2), dim=-1) @ values


def heatmaps(model: CLIP, pixels: Tensor, token_ids: Tensor, depth: int = 7) -> Tensor:
    """Heatmaps [P, H, W] in [0, 1] of one frame [1, 3, H, W] for the prompts."""
    visual = model.visual
    text = F.normalize(model.encode_text(token_ids), dim=-1)
    patches = visual.conv1(pixels)
    grid = (*patches.shape[-2:], 1)
    patches = patches.flatten(2).transpose(1, 2)
    class_token = visual.class_embedding.expand(1, 1, -1)
    x = visual.ln_pre(torch.cat([class_token, patches], dim=1) + visual.positional_embedding)
    return _maps(visual, visual.transformer.resblocks, x, text, grid, 0, depth)


def clip_heatmaps(
    model: ViCLIP, video: Tensor, token_ids: Tensor, target: int, depth: int = 7
) -> Tensor:
    """Heatmaps [P, H, W] of the target frame of one clip [1, T, 3, H, W]."""
    vision = model.vision_encoder
    text = F.normalize(model.encode_text(token_ids), dim=-1)
    patches = vision.conv1(video.transpose(1, 2))  # 1 D T h w
    frames, *size = patches.shape[-3:]
    patches = patches.permute(0, 3, 4, 2, 1).flatten(1, 2)  # 1 hw T D
    positions = vision.positional_embedding
    patches = patches + positions[1:, None] + vision.temporal_positional_embedding
    class_token = (vision.class_embedding + positions[0]).expand(1, 1, -1)
    x = vision.ln_pre(torch.cat([class_token, patches.flatten(1, 2)], dim=1))
    return _maps(vision, vision.transformer.resblocks, x, text, (*size, frames), target, depth)


def _maps(
    tower: Any, blocks: Any, x: Tensor, text: Tensor, grid: tuple[int, ...], target: int, depth: int
) -> Tensor:
    """What both have in common: from the tokens that enter the first block to the heatmaps."""
    stack, contributions = [], []
    for index, block in enumerate(blocks):
        attention = block.attn
        heads, head_dim = attention.num_heads, x.shape[-1] // attention.num_heads

        def split(t: Tensor, heads: int = heads, head_dim: int = head_dim) -> Tensor:
            return t.view(1, -1, heads, head_dim).transpose(1, 2)

        def join(t: Tensor, attention: torch.nn.MultiheadAttention = attention) -> Tensor:
            return attention.out_proj(t.transpose(1, 2).flatten(2))

        normed = block.ln_1(x)
        qkv = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        queries, keys, values = map(split, qkv)
        if index >= len(blocks) - depth:
            if not stack:
                stack.append(x)
            beta = normed.norm(dim=-1).mean() * head_dim**-0.5
            outputs = []
            for projection in (queries, keys, values):
                state = F.normalize(projection, dim=-1)
                state = F.normalize(attend(state, state, state, beta), dim=-1)
                outputs.append(attend(state, state, values, beta))
            stack.append(join(torch.stack(outputs).mean(dim=0)))
        after = x + join(attend(queries, keys, values, head_dim**-0.5))
        after = after + block.mlp(block.ln_2(after))
        contributions.append((after - x)[0, 0])
        x = after
    maps = []
    for embedding in text:
        similarities = torch.stack(
            [
                F.normalize(tower.ln_post(x[0, 0] - c) @ tower.proj, dim=-1) @ embedding
                for c in contributions[-3:]
            ]
        )
        weights = torch.tensor(STATIC_WEIGHTS)
        weights[-3:] += torch.softmax(-20 * similarities, dim=0) - 1 / 3
        merged = sum(w * s for w, s in zip(weights, stack, strict=True))
        features = F.normalize(tower.ln_post(merged) @ tower.proj, dim=-1)
        similarity = (features[0, 1:] @ embedding).view(1, 1, *grid)[..., target]
        size = [side * tower.conv1.kernel_size[-1] for side in grid[:2]]
        heat = F.interpolate(similarity, size=size, mode="bilinear", align_corners=False)[0, 0]
        maps.append((heat - heat.min()) / (heat.max() - heat.min()))
    return torch.stack(maps)
