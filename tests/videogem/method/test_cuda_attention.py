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
from videogem.method.attention import KeptRows, self_self_attention
from videogem.method.cuda_attention import self_self

torch.manual_seed(0)
qkv = torch.randn(2, 37, 3, 2, 16).permute(2, 0, 3, 1, 4)  # as a fused projection lies in memory
beta = torch.tensor([1.5, 9.0])
for iterations in (1, 2):
    expected = self_self_attention(qkv, beta, iterations=iterations)
    found = self_self(qkv, beta, iterations, 1, 1, 37)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
rows = KeptRows.of_frame(2, (3, 3, 4), qkv.device)
expected = self_self_attention(qkv, beta, rows=rows)
found = self_self(qkv, beta, 1, rows.first, rows.step, len(rows.index))
torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
"""


def test_the_kernels_arithmetic_is_that_of_the_plain_formulation():
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel itself needs CUDA")
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_kernel_on_cuda_is_close_to_double_precision(scale):
    torch.manual_seed(0)
    qkv = scale * torch.randn(3, 2, 4, 197, 64, device="cuda")
    qkv = qkv.bfloat16()
    beta = torch.tensor([2.0, 14.0], device="cuda")
    rows = KeptRows.of_frame(3, (7, 7, 4), qkv.device)
    for kept in (None, rows):
        expected = self_self_attention(qkv.double(), beta.double(), rows=kept)
        found = self_self_attention(qkv, beta, rows=kept).double()
        assert (found - expected).norm() / expected.norm() < 1e-2
