"""The decoder matrix: every container and timing trouble, against ffmpeg's own frame numbers."""

import io
import random
import struct
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest

from tests import clips
from videogem.media.video import (
    Limits,
    VideoReadError,
    clips_from,
    open_frames,
    probe,
    read_clip,
    read_clips,
    read_frames,
)

X264 = ("-c:v", "libx264", "-preset", "veryfast")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    clips.require_ffmpeg()
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def plain(folder):
    """Four seconds of H.264 with B-frames and one key frame, and sound for six."""
    return clips.encode(folder / "plain.mp4", *X264, "-bf", "3", "-g", "250", audio=6)


def _vfr(folder):
    # Every frame has another length, as phones and screen recorders write them.
    warp = "setpts='(N+0.4*mod(N\\,3)+floor(N/20)*8)/25/TB'"
    args = ("-vf", warp, "-fps_mode", "vfr", "-video_track_timescale", "90000")
    return clips.encode(folder / "vfr.mp4", *X264, "-bf", "2", "-g", "30", *args)


def _vfr_webm(folder):
    keep = "select='lt(mod(n,10),4)+not(mod(n,7))'"
    args = ("-vf", keep, "-fps_mode", "vfr", "-c:v", "libvpx", "-deadline", "realtime")
    return clips.encode(folder / "vfr.webm", *args, "-g", "20")


def _edit_list(folder):
    whole = clips.encode(folder / "whole.mp4", *X264, "-bf", "3", "-g", "250", audio=4)
    clips.ffmpeg("-ss", "1.5", "-i", whole, "-c", "copy", folder / "edit_list.mp4")
    return folder / "edit_list.mp4"


def _transport_stream(folder):
    args = ("-bf", "2", "-g", "40", "-c:a", "aac", "-muxdelay", "0.7")
    return clips.encode(folder / "offset.ts", *X264, *args, frames=150, audio=6)


def _silent_transport_stream(folder):
    return clips.encode(
        folder / "silent.ts", *X264, "-bf", "2", "-g", "50", "-output_ts_offset", "900"
    )


def _vp9(folder):
    args = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "40")
    return clips.encode(folder / "vp9.webm", *args, "-c:a", "libopus", fps="30", audio=4)


def _av1(folder):
    args = ("-c:v", "libsvtav1", "-preset", "12", "-g", "40", "-svtav1-params", "lp=1")
    return clips.encode(folder / "av1.mp4", *args)


def _open_gop(folder):
    args = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1")
    params = "open-gop=1:keyint=20:min-keyint=20:bframes=3:b-adapt=0:log-level=error"
    return clips.encode(folder / "hevc.mp4", *args, "-x265-params", params)


def _open_gop_h264(folder):
    params = "open-gop=1:keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0"
    return clips.encode(folder / "open.mkv", *X264, "-x264-params", params)


MATRIX = {
    "b_frames": lambda folder: folder / "plain.mp4",
    "long_gop": lambda folder: clips.encode(
        folder / "long.mp4", *X264, "-bf", "3", "-g", "999", "-sc_threshold", "0", frames=400
    ),
    "many_key_frames": lambda folder: clips.encode(
        folder / "keys.mp4", *X264, "-bf", "3", "-g", "12"
    ),
    "ntsc_rate": lambda folder: clips.encode(
        folder / "ntsc.mkv", *X264, "-g", "30", fps="30000/1001"
    ),
    "variable_rate": _vfr,
    "variable_rate_webm": _vfr_webm,
    "edit_list": _edit_list,
    "late_picture": lambda folder: clips.encode(
        folder / "late.mp4", *X264, "-vf", "setpts=PTS+0.8/TB", "-fps_mode", "vfr", audio=6
    ),
    "transport_stream": _transport_stream,
    "silent_transport_stream": _silent_transport_stream,
    "vp9": _vp9,
    "av1": _av1,
    "hevc_open_gop": _open_gop,
    "h264_open_gop": _open_gop_h264,
    "fragmented": lambda folder: clips.encode(
        folder / "frag.mp4", *X264, "-g", "25", "-movflags", "frag_keyframe+empty_moov"
    ),
    "avi": lambda folder: clips.encode(
        folder / "old.avi", "-c:v", "mpeg4", "-bf", "2", "-q:v", "3"
    ),
    "intra_refresh": lambda folder: clips.encode(
        folder / "live.mp4", *X264, "-x264-params", "intra-refresh=1:keyint=30"
    ),
    "one_frame": lambda folder: clips.encode(folder / "one.mp4", *X264, frames=1),
    "two_frames": lambda folder: clips.encode(folder / "two.mp4", *X264, "-bf", "2", frames=2),
}


@pytest.fixture(scope="session", params=sorted(MATRIX))
def case(request, folder, plain):
    path = MATRIX[request.param](folder)
    times, numbers = clips.true_frames(path)
    if request.param == "late_picture":  # the player's clock starts with the sound
        times = [time + 0.8 for time in times]
    return request.param, path, times, numbers


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


class TestDamage:
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    @pytest.mark.parametrize("container", ["mp4", "ts", "mkv", "webm", "frag.mp4"])
    def test_cut_short_is_exact_or_an_error(self, folder, container, share):
        """What is there is read exactly; what is missing is an error and never another frame."""
        whole = folder / f"to_cut.{container}"
        if not whole.exists():
            codec = ("-c:v", "libvpx", "-deadline", "realtime") if container == "webm" else X264
            extra = {"mp4": "faststart", "frag.mp4": "frag_keyframe+empty_moov"}.get(container)
            flags = ("-movflags", extra) if extra else ()
            clips.encode(whole, *codec, "-g", "20", *flags)
        short = clips.cut(whole, folder / f"cut_{share}.{container}", share)
        good = 0
        for number in range(0, 100, 7):
            try:
                clip = read_clip(short, time=number / 25 + 0.01)
            except VideoReadError:
                continue
            assert clips.frame_number(clip.target_frame) == number
            good = number
        # Key frames and the header take more bytes than their share of frames.
        assert good > 100 * share - 45

    @pytest.mark.parametrize("as_file", [False, True])
    def test_cut_short_is_told(self, folder, as_file):
        whole = clips.encode(folder / "head.mp4", *X264, "-g", "20", "-movflags", "+faststart")
        short = clips.cut(whole, folder / "short.mp4", 0.75)
        info = probe(clips.CountingFile(short) if as_file else short)
        assert info.truncated and 1.0 < info.duration < 3.0
        with pytest.raises(VideoReadError, match="outside"):
            read_clip(short, time=3.9)

    def test_a_hole_in_the_middle(self, folder):
        """Frames may be missing without a trace; those that come tell their true time."""
        whole = clips.encode(folder / "hole.mkv", *X264, "-bf", "2", "-g", "20")
        data = bytearray(whole.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 300] = bytes(300)
        broken = folder / "holed.mkv"
        broken.write_bytes(data)
        read = 0
        for number in range(100):
            try:
                clip = read_clip(broken, time=number / 25 + 0.01)
            except VideoReadError:
                continue
            assert clips.frame_number(clip.target_frame) == round(clip.time * 25)
            read += clip.time > number / 25 - 0.04
        assert read > 50

    @pytest.mark.parametrize("container", ["mp4", "ts", "mkv", "avi"])
    def test_any_damage_is_a_picture_or_an_error(self, folder, container):
        """Bytes changed, cut out or overwritten: never another exception, never a hang."""
        codec = ("-c:v", "mpeg4") if container == "avi" else (*X264, "-bf", "2")
        whole = clips.encode(folder / f"fuzz.{container}", *codec, "-g", "20", frames=50)
        dice = random.Random(2)
        for _ in range(40):
            data = bytearray(whole.read_bytes())
            place = dice.randrange(len(data))
            damage = dice.choice(["change", "cut", "overwrite"])
            if damage == "change":
                for _ in range(dice.choice([1, 10, 100])):
                    data[dice.randrange(len(data))] = dice.randrange(256)
            elif damage == "cut":
                del data[place : place + dice.randrange(1, 2000)]
            else:
                data[place : place + 500] = dice.randbytes(500)
            with suppress(VideoReadError):
                read_clip(io.BytesIO(data), time=dice.uniform(0, 2), num_frames=8)

    def test_unknown_codec(self, folder, plain):
        path = folder / "unknown.mp4"
        path.write_bytes(plain.read_bytes().replace(b"avc1", b"zzz9"))
        with pytest.raises(VideoReadError, match="cannot be decoded here"):
            read_clip(path)

    def test_index_at_the_end_and_cut_off(self, plain, folder):
        short = clips.cut(plain, folder / "no_index.mp4", 0.8)
        with pytest.raises(VideoReadError, match=r"no_index\.mp4 cannot be read as a video"):
            read_clip(short)


class TestErrors:
    """One sentence each, that names the file and what to do."""

    def test_time_outside(self, plain):
        with pytest.raises(VideoReadError, match=r"99 s is outside plain\.mp4; give one from 0 to"):
            read_clip(plain, time=99)
        with pytest.raises(VideoReadError, match="outside"):
            read_clip(plain, time=-0.5)
        with pytest.raises(VideoReadError, match="outside"):
            read_clip(plain, time=float("nan"))

    def test_missing_file(self, tmp_path):
        with pytest.raises(VideoReadError, match="There is no file"):
            read_clip(tmp_path / "nothing.mp4")

    def test_empty_file(self, tmp_path):
        (tmp_path / "empty.mp4").touch()
        with pytest.raises(VideoReadError, match="empty"):
            read_clip(tmp_path / "empty.mp4")

    def test_garbage(self, tmp_path):
        (tmp_path / "text.mp4").write_text("this is no video\n" * 1000)
        with pytest.raises(VideoReadError, match="cannot be read as a video"):
            read_clip(tmp_path / "text.mp4")

    @pytest.mark.parametrize(
        "playlist",
        [
            "ffconcat version 1.0\nfile plain.mp4\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nplain.mp4\n#EXT-X-ENDLIST\n",
        ],
    )
    def test_playlists_open_nothing(self, folder, plain, playlist):
        path = folder / "playlist.mp4"
        path.write_text(playlist)
        with pytest.raises(VideoReadError, match="cannot be read as a video"):
            read_clip(path)

    def test_sound_only(self, folder):
        path = folder / "sound.m4a"
        clips.ffmpeg("-f", "lavfi", "-i", "sine=duration=1", path)
        with pytest.raises(VideoReadError, match="sound only"):
            read_clip(path)

    def test_limits(self, plain):
        with pytest.raises(VideoReadError, match="MiB"):
            read_clip(plain, limits=Limits(max_bytes=1000))
        with pytest.raises(VideoReadError, match="160x96"):
            read_clip(plain, limits=Limits(max_pixels=1000))
        with pytest.raises(VideoReadError, match="lasts 6 s"):
            read_clip(plain, limits=Limits(max_duration=3))
