"""The feed-forward part is the module's own, and its short cut is taken where it fits alone."""

import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import nn

from tests.towers import tiny_clip
from videogem.backbones.feed_forward import feed_forward, is_plain, linear_gelu


def test_the_short_cut_fits_the_towers_of_open_clip_with_gelu():
    blocks = tiny_clip().visual.transformer.resblocks
    assert all(is_plain(block.mlp) for block in blocks)
    assert not is_plain(tiny_clip(quick_gelu=True).visual.transformer.resblocks[0].mlp)


@pytest.mark.parametrize(
    "mlp",
    [
        nn.Sequential(nn.Linear(4, 8), QuickGELU(), nn.Linear(8, 4)),
        nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 4)),
        nn.Sequential(nn.Linear(4, 8, bias=False), nn.GELU(), nn.Linear(8, 4)),
        nn.Linear(4, 4),
    ],
)
def test_it_fits_nothing_else(mlp):
    assert not is_plain(mlp)
    tokens = torch.randn(2, 3, 4)
    mlp.eval()
    assert torch.equal(feed_forward(mlp, tokens), mlp(tokens))


def test_on_a_cpu_the_module_itself_computes():
    mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
    tokens = torch.randn(2, 3, 4)
    assert torch.equal(feed_forward(mlp, tokens), mlp(tokens))


def test_the_fused_product_is_a_product_and_a_gelu():
    torch.manual_seed(0)
    layer, tokens = nn.Linear(16, 8), torch.randn(2, 5, 16)
    expected = nn.functional.gelu(layer(tokens))
    found = linear_gelu(tokens, layer.weight, layer.bias)
    torch.testing.assert_close(found, expected, atol=5e-4, rtol=0)
    torch.library.opcheck(linear_gelu, (tokens, layer.weight.data, layer.bias.data))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only CUDA takes the short cut")
def test_on_cuda_the_short_cut_is_as_near_to_double_precision_as_the_module():
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).cuda()
    tokens = 2 * torch.randn(2, 50, 64, device="cuda").bfloat16()
    exact = mlp.double()(tokens.double())
    mlp.bfloat16()
    exact_of_rounded = mlp.double()(tokens.double())
    mlp.bfloat16()

    def error(found):
        return (found.double() - exact_of_rounded).norm() / exact.norm()

    assert error(feed_forward(mlp, tokens)) < 1.1 * error(mlp(tokens))
