"""The decoder matrix: every container and timing trouble, against ffmpeg's own frame numbers."""

import random
import struct
import tracemalloc

import numpy as np
import pytest

from tests import clips
from tests.clips import X264
from videogem.media.video import (
    clips_from,
    open_frames,
    probe,
    read_clip,
    read_clips,
    read_frames,
)


def test_every_frame_in_one_pass(case):
    _, path, times, numbers = case
    read = [clips.frame_number(frame.image) for frame in read_frames(path, times)]
    assert read == numbers
    middles = clips.between(times)
    frames = list(read_frames(path, middles))
    assert [clips.frame_number(frame.image) for frame in frames] == numbers[:-1]
    assert [frame.index for frame in frames] == list(range(len(numbers) - 1))
    np.testing.assert_allclose([frame.time for frame in frames], times[:-1], atol=2e-3)


@pytest.mark.parametrize("as_file", [False, True], ids=["path", "file object"])
def test_single_times_in_any_order(case, as_file):
    _, path, times, numbers = case
    picks = random.Random(1).sample(range(len(times)), min(5, len(times)))
    for pick in [*picks, len(times) - 1]:
        length = times[pick + 1] - times[pick] if pick + 1 < len(times) else 0.0
        for time in (times[pick], times[pick] + 0.9 * length):
            source = clips.CountingFile(path) if as_file else path
            clip = read_clip(source, time=time)
            assert clips.frame_number(clip.target_frame) == numbers[pick]
            assert clip.time == pytest.approx(times[pick], abs=2e-3)


def test_probe(case):
    name, path, times, numbers = case
    info = probe(path)
    assert (info.width, info.height) == (clips.WIDTH, clips.HEIGHT)
    assert info.num_frames == len(numbers)
    assert info.variable_rate == (name in {"variable_rate", "variable_rate_webm"})
    assert times[-1] < info.duration + 1e-3 and info.duration < times[-1] + 0.6
    assert not info.truncated


def test_a_pass_decodes_every_frame_at_most_once(case):
    _, path, times, numbers = case
    with open_frames(path) as reader:
        before = reader.num_decoded
        assert len(list(reader.frames_at(times))) == len(times)
        # The first frame is decoded before; the decoder may drop none and repeat none.
        assert before <= 1
        assert reader.num_decoded <= len(numbers) + 1


TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


class TestRotation:
    """The display matrix is applied as ffmpeg does it when it plays the file."""

    @pytest.mark.parametrize("degrees", TURNS)
    def test_as_a_player_shows_it(self, folder, plain, degrees):
        path = folder / f"turned_{degrees}.mp4"
        path.write_bytes(_with_matrix(plain.read_bytes(), TURNS[degrees]))
        clip = read_clip(path, time=1.0)
        self._same_as_ffmpeg(path, clip.target_frame, clip.size_wh)
        info = probe(path)
        assert (info.width, info.height) == clip.size_wh
        assert info.rotation == degrees

    def test_corner_lands_where_it_must(self, folder, plain):
        """A quarter turn clockwise takes the bottom left corner to the top left."""
        path = folder / "clockwise.mp4"
        path.write_bytes(_with_matrix(plain.read_bytes(), TURNS[90]))
        red, green, blue = read_clip(path, time=0).target_frame[:30, :15].mean(axis=(0, 1))
        assert red > 150 and green < 90 and blue < 90

    @pytest.mark.parametrize(
        "matrix",
        [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)],
        ids=str,
    )
    def test_mirrored(self, folder, plain, matrix):
        path = folder / f"mirrored_{'_'.join(map(str, matrix))}.mp4"
        path.write_bytes(_with_matrix(plain.read_bytes(), matrix))
        clip = read_clip(path, time=1.0)
        self._same_as_ffmpeg(path, clip.target_frame, clip.size_wh)

    def _same_as_ffmpeg(self, path, frame, size_wh):
        raw = clips.ffmpeg(
            *("-ss", "1.0", "-i", path, "-frames:v", "1"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
        )
        width, height = size_wh
        expected = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
        assert np.abs(frame.astype(int) - expected).mean() < 2


def _with_matrix(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Write another display matrix into the video track header of an MP4."""
    one = 1 << 16
    unity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    a, b, c, d = (value * one for value in matrix)
    place = data.index(unity, data.index(b"tkhd"))
    return data[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[place + 36 :]


class TestWindow:
    def test_four_before_three_after(self, plain):
        clip = read_clip(plain, time=2.0, num_frames=8)
        assert clip.target == 4
        assert [clips.frame_number(frame) for frame in clip.frames] == [
            25, 31, 37, 43, 50, 56, 62, 68,
        ]  # fmt: skip
        assert clip.frame_index == 50 and clip.time == 2.0
        assert clip.fps == 25.0

    @pytest.mark.parametrize(
        ("time", "numbers"),
        [
            (0.0, [0, 0, 0, 0, 0, 6, 12, 18]),
            (0.5, [0, 0, 0, 6, 12, 18, 25, 31]),
            (3.98, [74, 80, 87, 93, 99, 99, 99, 99]),
        ],
    )
    def test_nearest_frame_repeats_at_the_ends(self, plain, time, numbers):
        clip = read_clip(plain, time=time, num_frames=8)
        assert [clips.frame_number(frame) for frame in clip.frames] == numbers
        assert clip.frame_indices.tolist() == numbers

    def test_step_in_frames(self, case):
        _, path, times, numbers = case
        place = len(times) // 2
        clip = read_clip(path, time=times[place], num_frames=8, step_frames=2)
        places = np.clip(place + 2 * np.arange(-4, 4), 0, len(numbers) - 1)
        assert [clips.frame_number(frame) for frame in clip.frames] == [numbers[i] for i in places]

    def test_one_frame_is_the_target(self, plain):
        clip = read_clip(plain, time=1.0)
        assert clip.frames.shape == (1, clips.HEIGHT, clips.WIDTH, 3)
        assert clip.target == 0

    def test_middle_of_the_pictures_by_default(self, plain):
        """The sound goes on for two more seconds; that must not move the middle."""
        assert read_clip(plain).time == 2.0

    def test_sound_after_the_pictures_shows_the_last_frame(self, plain):
        assert probe(plain).duration == pytest.approx(4.0)
        assert probe(plain).end == pytest.approx(6.0, abs=0.05)
        assert clips.frame_number(read_clip(plain, time=5.9).target_frame) == 99

    @pytest.mark.parametrize("options", [{"num_frames": 0}, {"step": 0.0}, {"step_frames": 0}])
    def test_impossible_windows(self, plain, options):
        with pytest.raises(ValueError, match="window"):
            read_clip(plain, **options)


class TestManyTimes:
    def test_same_as_one_by_one(self, plain):
        times = [0.0, 0.3, 0.3, 1.7, 1.8, 3.9]
        for time, clip in zip(times, read_clips(plain, times, num_frames=8), strict=True):
            alone = read_clip(plain, time=time, num_frames=8)
            np.testing.assert_array_equal(clip.frames, alone.frames)
            np.testing.assert_array_equal(clip.times, alone.times)

    def test_a_minute_with_ten_cues_is_one_pass_in_bounded_memory(self, folder):
        long = folder / "minute.mp4"
        source = ["-f", "lavfi", "-i", "testsrc=s=640x360:r=25:d=60"]
        clips.ffmpeg(*source, *X264, "-preset", "ultrafast", "-g", "250", long)
        times = [3.0 + 6 * cue for cue in range(9)] + [59.5]
        tracemalloc.start()
        with open_frames(long) as reader:
            seen = [clip.time for clip in clips_from(reader, times, num_frames=8)]
            decoded = reader.num_decoded
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen == pytest.approx(times, abs=0.04)
        assert decoded <= 60 * 25 + 1
        frame = 640 * 360 * 3
        assert peak < 30 * frame, f"{peak / frame:.0f} frames held"

    def test_times_must_ascend(self, plain):
        with pytest.raises(ValueError, match="ascend"):
            list(read_clips(plain, [1.0, 0.5]))


@pytest.fixture(scope="session")
def long(folder):
    path = folder / "noise.mp4"
    source = ["-f", "lavfi", "-i", "nullsrc=s=320x180:r=25:d=120"]
    encoder = ["-vf", "noise=alls=60:allf=t", "-c:v", "libx264", "-preset", "ultrafast"]
    clips.ffmpeg(*source, *encoder, "-crf", "35", "-g", "50", "-pix_fmt", "yuv420p", path)
    return path


class TestFileObjects:
    def test_little_of_a_long_file_is_read(self, long):
        """Two minutes of noisy video: one frame in the middle costs a few ranges."""
        file = clips.CountingFile(long)
        clip = read_clip(file, time=60.0, num_frames=8)
        assert clip.time == 60.0
        size = long.stat().st_size
        assert size > 4 * 2**20
        assert file.bytes_read < 0.12 * size, f"{file.bytes_read} of {size}"

    def test_stays_open_and_can_be_read_again(self, plain):
        with plain.open("rb") as file:
            first = read_clip(file, time=1.0)
            again = read_clip(file, time=1.0)
            assert not file.closed
        np.testing.assert_array_equal(first.frames, again.frames)

    def test_a_failing_file_tells_its_own_error(self, long):
        """The media layer's errors (a refused host, say) must not turn into 'damaged file'."""

        class Refusing(clips.CountingFile):
            def read(self, size=-1):
                if self._place > 0:
                    raise PermissionError("the host refused the range")
                return super().read(size)

        with pytest.raises(PermissionError, match="refused the range"):
            read_clip(Refusing(long), time=1.0)
