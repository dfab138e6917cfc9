"""The kernel against the plain formulation: on CUDA, and by Triton's interpreter anywhere."""

import os
import subprocess
import sys

import pytest
import torch

from videogem.method.attention import KeptRows, self_self_attention

pytest.importorskip("triton")

# In a process of its own: Triton reads the variable when it is imported.
INTERPRETED = """
import torch
from videogem.method import cuda_attention
from videogem.method.attention import KeptRows, self_self_attention
from videogem.method.cuda_attention import self_self

torch.manual_seed(0)
beta = torch.tensor([1.5, 9.0])

def projections(tokens):
    # As a fused projection lies in memory.
    return torch.randn(2, tokens, 3, 2, 16).permute(2, 0, 3, 1, 4)

def check(qkv, kept, **options):
    expected = self_self_attention(qkv, beta, **options)
    found = self_self(qkv, beta, options.get("iterations", 1), *kept)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

# Whole blocks of keys, and such with a rest; keys that stay, and keys that are streamed.
for short in (320, 30):
    cuda_attention.SHORT = short
    for tokens in (37, 64, 150):
        for iterations in (0, 1, 2):
            check(projections(tokens), (1, 1, tokens), iterations=iterations)
    rows = KeptRows.of_frame(2, (3, 3, 4), beta.device)
    qkv = projections(37)
    qkv[:, 0, 1, 5] = 0  # a vector without a direction
    check(qkv, (rows.first, rows.step, len(rows.index)), rows=rows)
"""


def test_the_kernels_arithmetic_is_that_of_the_plain_formulation():
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel itself needs CUDA")
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("tokens", [50, 64, 197, 257, 320, 577, 1569])
def test_the_kernel_on_cuda_is_close_to_double_precision(tokens, scale):
    torch.manual_seed(0)
    qkv = scale * torch.randn(2, tokens, 3, 4, 64, device="cuda")
    qkv = qkv.bfloat16().permute(2, 0, 3, 1, 4)
    beta = torch.tensor([2.0, 14.0], device="cuda")
    rows = KeptRows.of_frame(3, (3, 4, 4), qkv.device)
    for kept in (None, rows):
        for iterations in (1, 2):
            options = {"rows": kept, "iterations": iterations}
            expected = self_self_attention(qkv.double(), beta.double(), **options)
            found = self_self_attention(qkv, beta, **options).double()
            assert (found - expected).norm() / expected.norm() < 5e-3
