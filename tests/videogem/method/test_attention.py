"""Self-self attention against a literal version with explicit N x N matrices."""

import pytest
import torch
import torch.nn.functional as F

from videogem.method.attention import (
    inverse_temperature,
    merge_heads,
    self_self_attention,
    split_heads,
    value_value_attention,
)

BATCH, HEADS, FRAMES, PATCHES, HEAD_DIM = 2, 3, 4, 6, 8


@pytest.fixture
def qkv() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    tokens = 1 + FRAMES * PATCHES
    return torch.randn(3, BATCH, HEADS, tokens, HEAD_DIM, generator=generator)


BETA = torch.tensor([1.5, 4.0])


def literal(
    qkv: torch.Tensor, iterations: int, allowed: torch.Tensor | None = None
) -> torch.Tensor:
    """Explicit attention; ``allowed`` [N, N] says which token attends to which."""
    outputs = []
    for projection in qkv:
        state = F.normalize(projection, dim=-1)
        for step in range(iterations + 1):
            logits = BETA.view(-1, 1, 1, 1) * state @ state.transpose(-1, -2)
            if allowed is not None:
                logits = logits.masked_fill(~allowed, float("-inf"))
            attention = logits.softmax(dim=-1)
            last = step == iterations
            state = attention @ qkv[2] if last else F.normalize(attention @ state, dim=-1)
        outputs.append(state)
    return torch.stack(outputs).mean(dim=0)


@pytest.mark.parametrize("iterations", [1, 2])
def test_all_equals_explicit_attention(qkv, iterations):
    ours = self_self_attention(qkv, BETA, iterations=iterations)
    torch.testing.assert_close(ours, literal(qkv, iterations), atol=1e-5, rtol=1e-5)


def test_patches_leave_the_class_token_out(qkv):
    class_output = torch.full((BATCH, HEADS, HEAD_DIM), 7.0)
    ours = self_self_attention(qkv, BETA, scope="patches", class_output=class_output)
    torch.testing.assert_close(ours[..., 0, :], class_output)
    torch.testing.assert_close(ours[..., 1:, :], literal(qkv[..., 1:, :], 1), atol=1e-5, rtol=1e-5)


def _stripes() -> torch.Tensor:
    return torch.arange(FRAMES * PATCHES) // PATCHES


def test_stripe_attends_inside_runs_of_consecutive_tokens(qkv):
    ours = self_self_attention(qkv, BETA, scope="stripe", num_frames=FRAMES)[..., 1:, :]
    stripes = _stripes()
    expected = literal(qkv[..., 1:, :], 1, allowed=stripes[:, None] == stripes[None])
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_other_stripes_are_the_mean_of_their_values(qkv):
    ours = self_self_attention(qkv, BETA, scope="other-stripes", num_frames=FRAMES)[..., 1:, :]
    values, stripes = qkv[2][..., 1:, :], _stripes()
    for token in range(FRAMES * PATCHES):
        others = values[..., stripes != stripes[token], :].mean(dim=-2)
        torch.testing.assert_close(ours[..., token, :], others, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("scope", "share"), [("stripes-average", 0.5), ("official-eval", 0.25)])
def test_mixed_scopes_mix_the_two(qkv, scope, share):
    def run(name):
        return self_self_attention(qkv, BETA, scope=name, num_frames=FRAMES)

    expected = share * run("stripe") + (1 - share) * run("other-stripes")
    torch.testing.assert_close(run(scope), expected, atol=1e-5, rtol=1e-5)


def test_inverse_temperature_is_the_mean_norm_over_the_root_of_the_head_size():
    normed = torch.zeros(1, 4, 8)
    normed[..., 0] = torch.tensor([1.0, 2.0, 3.0, 6.0])
    assert inverse_temperature(normed, num_heads=2).item() == pytest.approx(3.0 / 4**0.5)


def test_heads_split_and_merge_back():
    qkv = torch.randn(2, 5, 3 * 12)
    merged = [merge_heads(heads) for heads in split_heads(qkv, 3)]
    torch.testing.assert_close(torch.cat(merged, dim=-1), qkv)


def test_value_value_attention_uses_the_blocks_scale():
    values = torch.randn(1, 2, 5, 8)
    attention = (values @ values.transpose(-1, -2) * 8**-0.5).softmax(dim=-1)
    torch.testing.assert_close(value_value_attention(values), attention @ values)
