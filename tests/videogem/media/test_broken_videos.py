"""Videos that are damaged, cut short, no videos, or beyond the limits."""

import io
import random
from contextlib import suppress

import pytest

from tests import clips
from tests.clips import X264
from videogem.media.video import (
    Limits,
    VideoReadError,
    probe,
    read_clip,
)


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
