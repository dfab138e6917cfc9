"""Patches as a matrix product are what the convolution gives."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from videogem.backbones.patches import cut, embed_patches


@pytest.mark.parametrize("bias", [False, True])
def test_cut_and_multiplied_patches_are_the_convolution(bias):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 10, (4, 8), stride=(4, 8), bias=bias)
    pixels = torch.randn(2, 3, 13, 24)  # a row of pixels is left over
    expected = layer(pixels)
    found, grid = embed_patches(layer, pixels)
    assert grid == (3, 3) == tuple(expected.shape[-2:])
    torch.testing.assert_close(found, expected.flatten(2).mT)
    product = F.linear(cut(pixels[..., :12, :], 4, 8), layer.weight.flatten(1), layer.bias)
    torch.testing.assert_close(product, found)


def test_a_video_towers_layer_is_the_same_frame_by_frame():
    torch.manual_seed(0)
    layer = nn.Conv3d(3, 10, (1, 4, 4), stride=(1, 4, 4), bias=False)
    video = torch.randn(2, 5, 3, 8, 12)
    found, _ = embed_patches(layer, video.flatten(0, 1))
    expected = layer(video.transpose(1, 2)).permute(0, 2, 3, 4, 1)  # B T rows columns D
    torch.testing.assert_close(found.view(2, 5, 2, 3, 10), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="elsewhere it is a convolution")
def test_on_cuda_it_is_the_convolution_too():
    torch.manual_seed(0)
    layer, pixels = nn.Conv2d(3, 64, 16, stride=16).cuda().double(), torch.randn(2, 3, 48, 64)
    pixels = pixels.cuda().double()
    found, grid = embed_patches(layer, pixels)
    assert grid == (3, 4)
    torch.testing.assert_close(found, layer(pixels).flatten(2).mT)
