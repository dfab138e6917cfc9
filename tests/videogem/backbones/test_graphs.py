"""A recorded pass gives the very tokens of the launched one, for every batch it stands for.

python -m pytest tests/videogem/backbones/test_graphs.py    # on a machine with a GPU
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.towers import tiny_backbone, tiny_viclip_backbone
from videogem.backbones.compiling import TowerGraphs
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.viclip import ViCLIPBackbone
from videogem.grounding import VideoGEM
from videogem.method.settings import MethodSettings

SETTINGS = MethodSettings().attention
FULL = 12


def test_what_is_not_recorded_is_not_replayed():
    assert TowerGraphs().replay(torch.zeros(1, 3, 64, 64), "key") is None


def test_what_cannot_be_recorded_is_told_and_runs_as_written(caplog):
    graphs = TowerGraphs()
    graphs.prepare(lambda pixels: pytest.fail("not reached"), torch.zeros(1, 3, 64, 64), "key")
    assert "not recorded" in caplog.text
    assert graphs.replay(torch.zeros(1, 3, 64, 64), "key") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are CUDA's own")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [tiny_backbone, tiny_viclip_backbone])
@torch.inference_mode()
def test_a_replayed_pass_gives_the_tokens_of_the_launched_one(make, dtype):
    backbone: OpenCLIPBackbone | ViCLIPBackbone = make()
    backbone._model.cuda()
    tower = backbone._visual if isinstance(backbone, OpenCLIPBackbone) else backbone._vision
    tower.to(dtype)
    shape = (3, 64, 64) if backbone.num_frames == 1 else (4, 3, 64, 64)
    target = backbone.num_frames // 2
    torch.manual_seed(0)

    def encode(pixels):
        return backbone.encode_frames(pixels, SETTINGS, target=target)

    graphs = TowerGraphs()
    pixels = torch.randn(FULL, *shape, device="cuda")
    for size in (*graphs.sizes, FULL):
        graphs.prepare(encode, pixels[:size], "key")
    assert graphs.replay(torch.randn(11, *shape, device="cuda"), "key") is None
    assert graphs.replay(pixels, "other key") is None
    for count in (1, 2, 3, 5, 8, FULL, 1):
        fresh = torch.randn(count, *shape, device="cuda")
        recorded = graphs.replay(fresh, "key")
        # Beside what fills the recorded batch: products of other sizes round otherwise.
        size = next((size for size in graphs.sizes if size >= count), FULL)
        filled = torch.cat([fresh, torch.randn(size - count, *shape, device="cuda")])
        launched = encode(filled).samples(range(count))
        for name, tensor in launched.tensors.items():
            assert torch.equal(recorded.tensors[name], tensor), (name, count)
    kept = recorded.terms.clone()
    graphs.replay(torch.randn(1, *shape, device="cuda"), "key")
    assert torch.equal(recorded.terms, kept)  # a later replay does not write over them


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are CUDA's own")
@pytest.mark.parametrize("make", [tiny_backbone, tiny_viclip_backbone])
@torch.inference_mode()
def test_recorded_places_are_those_that_are_launched(make):
    backbone = make()
    backbone._model.cuda()
    grounder = VideoGEM(backbone)
    target, count = backbone.num_frames // 2, backbone.num_frames
    shape = (3, 64, 64) if count == 1 else (count, 3, 64, 64)
    torch.manual_seed(0)
    replays = 0
    for size in (1, 4):
        pixels = torch.randn(size, *shape, device="cuda")
        grounder._record_places(backbone.encode_frames(pixels, SETTINGS, target=target))
    for size in (1, 4, 1, 3):
        pixels = torch.randn(size, *shape, device="cuda")
        tokens = backbone.encode_frames(pixels, SETTINGS, target=target)
        texts = F.normalize(torch.randn(size, 3, 24, device="cuda"), dim=-1)
        replays += grounder._place_graphs.replay(tokens, texts) is not None
        found = grounder.places([], tokens, texts)
        expected = VideoGEM(backbone).places([], tokens, texts)
        for name in ("patches", "spans", "peaks", "regions", "brought"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), (name, size)
    assert replays == 3
