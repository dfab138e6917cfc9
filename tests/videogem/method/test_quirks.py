"""The scopes of the authors' code, against explicit N x N matrices; its grid is in test_metrics."""

import pytest
import torch

from tests.literal_attention import (
    BATCH,
    BETA,
    FRAMES,
    HEAD_DIM,
    HEADS,
    PATCHES,
    literal,
    random_qkv,
)
from videogem.method.quirks import scoped_attention


@pytest.fixture
def qkv() -> torch.Tensor:
    return random_qkv()


def test_patches_leave_the_class_token_out(qkv):
    class_output = torch.full((BATCH, HEADS, HEAD_DIM), 7.0)
    ours = scoped_attention(qkv, BETA, "patches", class_output=class_output)
    torch.testing.assert_close(ours[..., 0, :], class_output)
    torch.testing.assert_close(ours[..., 1:, :], literal(qkv[..., 1:, :], 1), atol=1e-5, rtol=1e-5)


def _stripes() -> torch.Tensor:
    return torch.arange(FRAMES * PATCHES) // PATCHES


def test_stripe_attends_inside_runs_of_consecutive_tokens(qkv):
    ours = scoped_attention(qkv, BETA, "stripe", num_frames=FRAMES)[..., 1:, :]
    stripes = _stripes()
    expected = literal(qkv[..., 1:, :], 1, allowed=stripes[:, None] == stripes[None])
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_other_stripes_are_the_mean_of_their_values(qkv):
    ours = scoped_attention(qkv, BETA, "other-stripes", num_frames=FRAMES)[..., 1:, :]
    values, stripes = qkv[2][..., 1:, :], _stripes()
    for token in range(FRAMES * PATCHES):
        others = values[..., stripes != stripes[token], :].mean(dim=-2)
        torch.testing.assert_close(ours[..., token, :], others, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("scope", "share"), [("stripes-average", 0.5), ("official-eval", 0.25)])
def test_mixed_scopes_mix_the_two(qkv, scope, share):
    def run(name):
        return scoped_attention(qkv, BETA, name, num_frames=FRAMES)

    expected = share * run("stripe") + (1 - share) * run("other-stripes")
    torch.testing.assert_close(run(scope), expected, atol=1e-5, rtol=1e-5)
