"""Narrated moments of a video: key frames at the right times, one decode pass, little memory."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import clips
from tests.fakes import FakeGrounder
from videogem import tracks
from videogem.media.sources import VideoInfo
from videogem.media.video import open_frames
from videogem.narration.cues import Cue
from videogem.tracks import frame_rate_warning, ground_cues, key_times


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    clips.require_ffmpeg()
    folder = tmp_path_factory.mktemp("videos")
    return clips.encode(folder / "a.mp4", "-c:v", "libx264", "-bf", "2", "-g", "30")


class NumberReader(FakeGrounder):
    """Points at x = (number burnt into the target frame) / 100."""

    def ground(self, clip, narrations):
        number = clips.frame_number(clip.target_frame)
        self.points = dict.fromkeys(narrations, (number / 100, 0.5))
        return super().ground(clip, narrations)


def test_key_frames_of_each_cue(video):
    cues = [Cue(0.4, 1.6, "cut"), Cue(1.0, 2.0, "stir")]
    by_text = {track.cue.text: track for track in ground_cues(NumberReader(), video, cues)}
    cut, stir = by_text["cut"], by_text["stir"]
    assert [grounding.frame_index for grounding in cut.groundings] == [10, 12, 25, 37, 40]
    assert [grounding.frame_index for grounding in stir.groundings] == [25, 37, 50]
    for track in (cut, stir):
        for grounding in track.groundings:
            assert grounding.point[0] == grounding.frame_index / 100
            assert grounding.narration == track.cue.text
        assert (track.fps, track.num_frames) == (25.0, 100)


def test_a_frame_of_two_cues_is_encoded_once(video):
    grounder = NumberReader()
    list(ground_cues(grounder, video, [Cue(0.0, 2.0, "cut"), Cue(0.0, 2.0, "stir")]))
    assert [texts for _, texts in grounder.calls] == [("cut", "stir")] * 5


def test_windows_for_video_models(video):
    grounder = NumberReader()
    list(ground_cues(grounder, video, [Cue(2.0, 2.0, "cut")], num_frames=8))
    ((clip, _),) = grounder.calls
    assert clip.frame_indices.tolist() == [25, 31, 37, 43, 50, 56, 62, 68]
    assert clip.target == 4


def test_cues_beyond_the_end(video):
    cues = [Cue(3.9, 5.0, "cut"), Cue(7.0, 8.0, "stir")]
    by_text = {track.cue.text: track for track in ground_cues(NumberReader(), video, cues)}
    assert [grounding.frame_index for grounding in by_text["cut"].groundings] == [97, 99]
    assert by_text["stir"].groundings == ()
    with pytest.raises(ValueError, match="no box"):
        by_text["stir"].box_at(7.0)


def test_boxes_between_key_frames_lie_on_a_line(video):
    (track,) = ground_cues(NumberReader(), video, [Cue(1.0, 2.0, "cut")])
    first, second, _ = track.groundings
    assert track.box_at(1.0) == first.box
    time = 1.0 + 0.5 * (second.time - first.time)
    expected = [(a + b) / 2 for a, b in zip(first.box, second.box, strict=True)]
    assert track.box_at(time) == pytest.approx(expected)
    assert track.box_at(0.0) == first.box
    assert track.box_at(9.0) == track.groundings[-1].box


def test_a_minute_with_ten_cues(tmp_path, monkeypatch):
    """One pass: no frame is decoded twice; and only a batch of clips is held."""
    path = tmp_path / "minute.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=s=320x180:r=25:d=60"]
    clips.ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", "-g", "250", path)
    readers = []

    def remember(reader, *args, **options):
        readers.append(reader)
        return tracks_clips_from(reader, *args, **options)

    tracks_clips_from = tracks.clips_from
    monkeypatch.setattr(tracks, "clips_from", remember)
    cues = [Cue(6.0 * n + 1, 6.0 * n + 4, f"cut {n}") for n in range(10)]
    tracemalloc.start()
    keys = 0
    for track in ground_cues(_Forgetful(), path, cues, num_frames=8):
        assert len(track.groundings) == 7
        keys += 7
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert keys == 70
    assert readers[0].num_decoded <= 1501
    frame = 320 * 180 * 3
    assert peak < (tracks.BATCH + 4) * 8 * frame + 4 * 2**20


class _Forgetful(FakeGrounder):
    """Keeps no clip, so that only what the code under test holds is measured."""

    def ground(self, clip, narrations):
        found = super().ground(clip, narrations)
        self.calls.clear()
        return found


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
