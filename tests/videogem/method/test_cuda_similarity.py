"""The kernels against the plain formulation: on CUDA, and by Triton's interpreter anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("triton")

# In a process of its own: Triton reads the variable when it is imported.
INTERPRETED = """
import torch
from tests.towers import tiny_backbone
from videogem.method import cuda_similarity, similarity
from videogem.method.settings import MethodSettings

torch.manual_seed(0)
backbone = tiny_backbone()
visual = backbone._visual
torch.nn.init.normal_(visual.ln_post.weight)
torch.nn.init.normal_(visual.ln_post.bias)
tokens = backbone.encode_frames(torch.randn(2, 3, 64, 64), MethodSettings().attention)
for prompts in (1, 3, 7):
    texts = torch.nn.functional.normalize(torch.randn(2, prompts, 24), dim=-1)
    for weights in ("combined", "dynamic", "static"):
        settings = MethodSettings(weights=weights)
        expected = similarity.patch_similarities(backbone, tokens, texts, settings)
        similarity._kernel_layers = lambda backbone, _: backbone.final_layers
        found = similarity.patch_similarities(backbone, tokens, texts, settings)
        similarity._kernel_layers = lambda *_: None
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
"""


def test_the_kernels_give_the_cosines_of_the_plain_formulation():
    paths = [str(Path.cwd()), *sys.path]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernels themselves need CUDA")
@pytest.mark.parametrize("prompts", [1, 3, 24])
def test_the_kernels_on_cuda_are_close_to_double_precision(prompts):
    from videogem.method.cuda_similarity import fits, weighted_similarities

    torch.manual_seed(0)
    terms = torch.randn(8, 3, 197, 768, device="cuda").bfloat16()[:, :, 1:]
    weights = torch.rand(3, prompts, 8, device="cuda")
    norm = torch.nn.LayerNorm(768, device="cuda", dtype=torch.bfloat16)
    torch.nn.init.normal_(norm.weight)
    projection = torch.randn(768, 512, device="cuda").bfloat16()
    texts = F.normalize(torch.randn(3, prompts, 512, device="cuda"), dim=-1)
    assert fits(terms, norm)
    found = weighted_similarities(terms, weights, norm, projection, texts)
    merged = torch.einsum("bpk,kbnd->bpnd", weights.double(), terms.double())
    normed = F.layer_norm(merged, (768,), norm.weight.double(), norm.bias.double())
    features = F.normalize(normed @ projection.double(), dim=-1)
    expected = torch.einsum("bpne,bpe->bpn", features, texts.double())
    assert (found - expected).abs().max() < 2e-3
