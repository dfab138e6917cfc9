"""Narrated moments of a video: key frames at the right times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import clips
from videogem.media.sources import VideoInfo
from videogem.media.video import open_frames
from videogem.narration.cues import Cue
from videogem.tracks import frame_rate_warning, key_times, plan_keys


def test_cues_that_overlap_share_their_key_frames():
    cues = [Cue(0.0, 2.0, "cut"), Cue(0.7, 1.5, "stir"), Cue(9.0, 9.5, "late")]
    wanted = plan_keys(cues, 4.0)
    assert wanted == {0.0: [0], 0.5: [0], 0.7: [1], 1.0: [0, 1], 1.5: [0, 1], 2.0: [0]}


@given(st.floats(0, 50), st.floats(0, 5), st.floats(0.05, 3), st.floats(0.1, 60))
def test_key_times_ascend_inside_the_cue(start, length, step, end):
    cue = Cue(start, start + length, "cut")
    times = key_times(cue, end, step=step)
    assert times == sorted(set(times))
    if start > end:
        assert times == []
        return
    assert times[0] == start and times[-1] == min(cue.end, end)
    assert max((b - a for a, b in pairwise(times)), default=0) <= step * 1.001


def _info(fps, *, variable=False):
    return VideoInfo("video", 640, 360, fps, 10.0, 10.0, 100, variable_rate=variable)


@pytest.mark.parametrize(
    ("fps", "configured", "said"),
    [
        (25.0, 25, None),
        (29.97002997, 29.97, None),
        (10.0, 0.1, None),  # a frame of 0.1 s
        (24.0, None, None),  # Label Studio's default
        (10.0, None, "10.000 frames a second, but Label Studio counts 24"),
        (30.0, 25, 'framerate="30"'),
        (23.976, 24, "23.976"),
    ],
)
def test_frame_rate_warning(fps, configured, said):
    warning = frame_rate_warning(_info(fps), configured)
    assert warning is None if said is None else said in (warning or "")


def test_variable_rate_is_told():
    assert "variable frame rate" in (frame_rate_warning(_info(25.0, variable=True), 25) or "")


def test_still_frames_need_no_rate(tmp_path):
    clips.ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:r=1", "-frames:v", "1", tmp_path / "a.png")
    with open_frames(tmp_path / "a.png") as reader:
        assert frame_rate_warning(reader.info, None) is None
