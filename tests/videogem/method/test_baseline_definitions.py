"""Every method against its definition, written out plainly, on the golden CLIP tower."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden import load_model
from videogem.method.baselines import baseline_tokens
from videogem.method.settings import AttentionSettings

FOLDER = Path(__file__).parents[2] / "data/golden"
DEPTH = 7


@pytest.fixture(scope="module")
def golden():
    """The backbone, its tokens for the reference image, and every block's input."""
    entry = json.loads((FOLDER / "manifest.json").read_text())["clip_a"]
    backbone = load_model(FOLDER, "clip_a", entry)
    image = torch.from_numpy(np.load(FOLDER / "clip_a__native.npz")["image"])
    with torch.inference_mode():
        tokens = backbone.encode_frames(image, AttentionSettings(depth=DEPTH, baselines=True))
        visual = backbone._model.visual
        inputs = []
        hooks = [
            block.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
            for block in visual.transformer.resblocks
        ]
        visual(image)
        for hook in hooks:
            hook.remove()
    return backbone, tokens, visual, inputs


def heads(attention, x):
    """Queries, keys and values of one block, one list entry per head; x is [N, D]."""
    q, k, v = (x @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=-1)
    return [part.chunk(attention.num_heads, dim=-1) for part in (q, k, v)]


def value_value(block, x):
    attention = block.attn
    _, _, values = heads(attention, block.ln_1(x))
    outputs = []
    for v in values:
        weights = torch.softmax(v @ v.T / v.shape[-1] ** 0.5, dim=-1)
        outputs.append(weights @ v)
    return attention.out_proj(torch.cat(outputs, dim=-1))


def self_self(block, x):
    attention = block.attn
    normed = block.ln_1(x)
    head_dim = x.shape[-1] // attention.num_heads
    beta = normed.norm(dim=-1).mean() / head_dim**0.5
    outputs = []
    for q, k, v in zip(*heads(attention, normed), strict=True):
        parts = []
        for p in (q, k, v):
            p = p / p.norm(dim=-1, keepdim=True)
            p = torch.softmax(beta * p @ p.T, dim=-1) @ p
            p = p / p.norm(dim=-1, keepdim=True)
            parts.append(torch.softmax(beta * p @ p.T, dim=-1) @ v)
        outputs.append(sum(parts) / 3)
    return attention.out_proj(torch.cat(outputs, dim=-1))


def plain_definition(method, visual, inputs):
    blocks = list(visual.transformer.resblocks)
    x = [one[0] for one in inputs]  # inputs of the blocks, batch of one
    if method == "clip":
        return blocks[-1](inputs[-1])[0]
    if method == "maskclip":
        _, _, values = heads(blocks[-1].attn, blocks[-1].ln_1(x[-1]))
        return blocks[-1].attn.out_proj(torch.cat(values, dim=-1))
    depth = DEPTH - 1 if method == "gem6" else DEPTH
    branch = value_value if method == "clip_surgery" else self_self
    total = x[len(blocks) - depth].clone()
    for index in range(len(blocks) - depth, len(blocks)):
        total += branch(blocks[index], x[index])
    return total


@pytest.mark.parametrize("method", ["clip", "maskclip", "clip_surgery", "gem6", "gem"])
def test_baseline_is_its_definition(golden, method):
    _, tokens, visual, inputs = golden
    with torch.inference_mode():
        expected = plain_definition(method, visual, inputs)
        found = baseline_tokens(tokens, method)[0]
    assert found.shape == expected.shape
    scale = expected.abs().max()
    assert torch.allclose(found / scale, expected / scale, atol=2e-5)


def test_methods_differ_from_each_other(golden):
    _, tokens, _, _ = golden
    found = [
        baseline_tokens(tokens, method)
        for method in ("clip", "maskclip", "clip_surgery", "gem6", "gem")
    ]
    for index, first in enumerate(found):
        for second in found[index + 1 :]:
            assert not torch.allclose(first, second, atol=1e-2)
