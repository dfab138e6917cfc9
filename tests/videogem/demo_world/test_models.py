"""The shipped models point where the shipped clips' narration says."""

import json
from pathlib import Path

import pytest

from videogem.backbones.names import SHIPPED
from videogem.grounding import VideoGEM, load_grounder
from videogem.media.video import read_clip
from videogem.metrics import hit
from videogem.narration.reading import cue_time, read_cues

CLIPS = SHIPPED["demo"].parent / "clips"


@pytest.fixture(scope="module", params=["demo", "demo-viclip"])
def grounder(request: pytest.FixtureRequest) -> VideoGEM:
    return load_grounder(request.param, device="cpu")


def test_cues_of_a_clip_are_found(grounder):
    """At least three of the kitchen's four cues: the rest is `docs/demo_benchmark.md`'s matter."""
    path = CLIPS / "kitchen.mp4"
    facts = json.loads(path.with_suffix(".json").read_text())
    hits = 0
    cues = read_cues(path.with_suffix(".srt"))
    for index, cue in enumerate(cues):
        clip = read_clip(path, time=cue_time(cue), num_frames=grounder.num_frames)
        grounding = grounder.ground(clip, [cue.text])[0]
        assert len(grounding.window) == grounder.num_frames
        assert clip.time in grounding.window
        pair = facts["pairs"][facts["cues"][index]["pair"]]
        x, y = grounding.point
        width, height = facts["size"]
        hits += hit((x * width, y * height), [pair["boxes"][grounding.frame_index]])
    assert len(cues) == 4
    assert hits >= 3


def test_weights_stay_small():
    assert SHIPPED["demo"].stat().st_size <= 16e6
    assert SHIPPED["demo-viclip"].stat().st_size <= 12e6
    assert sum(path.stat().st_size for path in Path(CLIPS).iterdir()) <= 8e6
