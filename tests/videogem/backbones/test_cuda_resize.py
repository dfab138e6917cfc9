"""Frames resized on CUDA are Pillow's to the bit, whatever the installed Pillow does."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("triton")

from videogem.backbones import cuda_resize
from videogem.backbones.openclip import OPENAI_MEAN, OPENAI_STD, squash_bicubic

# In a process of its own: Triton reads the variable when it is imported.
INTERPRETED = """
import numpy as np, torch
from PIL import Image
from videogem.backbones.cuda_resize import find_order, squash, squash_planes, standardize
from videogem.backbones.openclip import OPENAI_MEAN, OPENAI_STD, squash_bicubic

rng = np.random.default_rng(0)
device = torch.device("cpu")
orders = set()
for height, width, size in ((60, 90, 32), (20, 31, 48), (64, 40, 32), (32, 70, 32)):
    for resampling in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR):
        frames = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        frames[0] = np.where(frames[0] > 128, 255, 0)  # overshoots, which are clipped
        order = find_order(height, width, size, resampling, device)
        squares = squash(torch.from_numpy(frames), size, resampling, order)
        found = standardize(squares, OPENAI_MEAN, OPENAI_STD)
        assert torch.equal(found, squash_bicubic(list(frames), size, resampling=resampling))
        planes = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
        assert torch.equal(squash_planes(planes, size, resampling, order), squares)
"""


def test_the_kernel_gives_pillows_bytes():
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_pillow_that_resizes_otherwise_keeps_the_work(monkeypatch):
    frames = [np.zeros((6, 8, 3), np.uint8)]
    device = torch.device("cpu")
    args = (frames, 4, OPENAI_MEAN, OPENAI_STD, Image.Resampling.BICUBIC, device)
    monkeypatch.setattr(cuda_resize, "squash", lambda frames, *_: frames[:, :4, :4])
    cuda_resize.find_order.cache_clear()
    try:
        assert cuda_resize.squash_on_device(*args) is None
    finally:
        cuda_resize.find_order.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel itself needs CUDA")
def test_frames_of_several_sizes_come_back_in_their_order():
    rng = np.random.default_rng(0)
    sizes = [(720, 1280), (1280, 720), (720, 1280), (100, 90), (360, 640)]
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    frames[0] = frames[0][::-1]  # not contiguous
    found = cuda_resize.squash_on_device(
        frames, 224, OPENAI_MEAN, OPENAI_STD, Image.Resampling.BICUBIC, torch.device("cuda")
    )
    assert torch.equal(found.cpu(), squash_bicubic(frames, 224))
