"""Compiling in the background: the same numbers, eager until ready, and no harm where it fails.

In a process of its own: under pytest functions are wrapped by shape checks, which torch's
compiler would trace.
"""

import os
import subprocess
import sys

import torch

from tests.towers import tiny_backbone
from videogem.grounding import VideoGEM
from videogem.structures import Clip

COMPILED = """
import logging, sys
import numpy as np, torch
from tests.towers import tiny_backbone, tiny_viclip_backbone
from videogem.backbones.compiling import BlockForward
from videogem.grounding import VideoGEM
from videogem.structures import Clip

logging.basicConfig(level=logging.WARNING)
compiled = 0
def backend(graph, inputs):
    global compiled
    compiled += 1
    return graph.forward

for make in (tiny_backbone, tiny_viclip_backbone):
    backbone = make()
    count = backbone.num_frames
    rng = np.random.default_rng(0)
    clips = [
        Clip(rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8), np.zeros(count),
             np.arange(count), target=count // 2) for _ in range(3)
    ]
    texts = [["cut the tomato"]] * 3
    grounder = VideoGEM(backbone, batch_size=3, cache_megabytes=0)
    expected = grounder.ground_batch(clips, texts)
    backbone.block_forward = BlockForward(backend)
    grounder.ground_batch(clips, texts)
    assert compiled == 0 and not backbone.block_forward.ready  # as written until asked for
    grounder.compile_soon().join()
    assert backbone.block_forward.ready and compiled > 0
    before = compiled
    found = grounder.ground_batch(clips, texts)
    for (one,), (other,) in zip(expected, found, strict=True):
        np.testing.assert_allclose(one.heatmaps, other.heatmaps, atol=1e-5)
        assert one.point == other.point and one.box == other.box
    # Other batch sizes run as written: nobody waits for a compiler.
    grounder.ground_batch(clips[:2], texts[:2])
    assert compiled == before, (before, compiled)
    compiled = 0
"""


def test_the_compiled_tower_gives_the_same_and_only_where_it_is_ready():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["", *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_tower_that_cannot_be_compiled_runs_as_written_and_the_log_says_why(
    monkeypatch, caplog, random_frame
):
    def fail(*_):
        raise RuntimeError("no compiler\n  here")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    grounder = VideoGEM(tiny_backbone(), batch_size=1, cache_megabytes=0)
    clip = Clip.from_image(random_frame)
    expected = grounder.ground(clip, ["cut the tomato"])[0]
    grounder.compile_soon().join()
    assert "RuntimeError: no compiler here" in caplog.text
    assert not grounder.backbone.block_forward.ready
    assert grounder.ground(clip, ["cut the tomato"])[0].point == expected.point


def test_towers_that_are_read_anew_in_each_pass_are_not_compiled(caplog):
    backbone = tiny_backbone()
    backbone.compiles = False
    assert VideoGEM(backbone).compile_soon() is None
    assert "runs as written" in caplog.text
