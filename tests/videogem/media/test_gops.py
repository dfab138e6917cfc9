"""However far key frames lie apart: one open reader, and no frame is decoded twice for cues."""

from pathlib import Path

import pytest

from tests import clips
from videogem.media.video import clips_from, open_frames

FRAMES, FPS = 500, 25
BEHIND = 32  # frames that a decoder with threads and B-frames may be ahead when it is stopped


@pytest.fixture(scope="module", params=[1, 12, 48, 250])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    clips.require_ffmpeg()
    gop = request.param
    path = tmp_path_factory.mktemp("gops") / f"{gop}.mp4"
    key = ("-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0")
    clips.encode(path, "-c:v", "libx264", "-preset", "ultrafast", *key, frames=FRAMES)
    return gop, path


def decoded_for(path: Path, numbers: list[int]) -> int:
    """Frames decoded to read these frames as clips in one pass; they are the right ones."""
    with open_frames(path) as reader:
        times = [(number + 0.5) / FPS for number in numbers]
        read = [clips.frame_number(clip.target_frame) for clip in clips_from(reader, times)]
        assert read == numbers
        return reader.num_decoded


def test_many_cues_of_a_group_decode_it_once(video):
    gop, path = video
    numbers = [200 + 2 * cue for cue in range(20)]
    groups = {number // gop for number in numbers}
    in_them = sum(min(numbers[-1] - group * gop, gop - 1) + 1 for group in groups)
    assert decoded_for(path, numbers) <= 1 + in_them + BEHIND


def test_groups_without_a_cue_are_leapt_over(video):
    gop, path = video
    numbers = [40, 450]
    from_key = sum(number % gop + 1 for number in numbers)
    assert decoded_for(path, numbers) <= 1 + from_key + 2 * BEHIND


def test_all_cues_in_one_pass_never_cost_more_than_all_frames(video):
    _, path = video
    assert decoded_for(path, list(range(3, FRAMES, 7))) <= FRAMES + 1
