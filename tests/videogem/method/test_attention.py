"""Self-self attention against a literal version with explicit N x N matrices."""

import pytest
import torch

from tests.literal_attention import BETA, literal, random_qkv
from videogem.method.attention import (
    inverse_temperature,
    merge_heads,
    self_self_attention,
    split_heads,
    value_value_attention,
)


@pytest.mark.parametrize("iterations", [1, 2])
def test_all_equals_explicit_attention(iterations):
    qkv = random_qkv()
    ours = self_self_attention(qkv, BETA, iterations=iterations)
    torch.testing.assert_close(ours, literal(qkv, iterations), atol=1e-5, rtol=1e-5)


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
