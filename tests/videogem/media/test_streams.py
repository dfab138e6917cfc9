"""Of several video streams the one that a player shows: no thumbnail, the default, the largest."""

from pathlib import Path

import numpy as np
import pytest

from tests import clips
from videogem.media.video import VideoReadError, probe, read_clip

CASES = Path(__file__).parents[2] / "data/media"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips.require_ffmpeg()
    return tmp_path_factory.mktemp("streams")


def test_the_thumbnail_before_the_film_is_not_the_film():
    info = probe(CASES / "thumb_first.mp4")
    assert (info.width, info.height, info.codec) == (640, 480, "h264")
    assert info.num_frames == 77 and info.fps == pytest.approx(25)
    assert read_clip(CASES / "thumb_first.mp4", num_frames=8).frames.shape == (8, 480, 640, 3)


def with_streams(path: Path, *options: str) -> Path:
    """Two streams: numbered frames of 160 x 96, and the same twice as large."""
    plain = clips.encode(path.parent / "plain.mp4", "-c:v", "libx264")
    large = ("-s:v:1", "320x192", "-c:v:1", "libx264")
    mapped = ("-map", "0:v", "-map", "0:v", "-c:v:0", "libx264", *large)
    clips.ffmpeg("-i", plain, *mapped, *options, path)
    return path


@pytest.mark.parametrize(
    ("name", "flags", "width"),
    [
        ("first", ("-disposition:v:0", "default", "-disposition:v:1", "0"), 160),
        ("second", ("-disposition:v:0", "0", "-disposition:v:1", "default"), 320),
        ("neither", ("-disposition:v:0", "0", "-disposition:v:1", "0"), 320),
        ("both", ("-disposition:v:0", "default", "-disposition:v:1", "default"), 320),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_default_else_the_largest(folder, name, flags, width, suffix):
    if (name, suffix) == ("neither", "mp4"):
        width = 160  # ffmpeg always marks one in an MP4: the first
    path = with_streams(folder / f"{name}.{suffix}", *flags)
    assert probe(path).width == width
    frame = read_clip(path, time=1.0).target_frame
    assert frame.shape[1] == width
    assert clips.frame_number(frame[:: width // 160, :: width // 160]) == 25


def test_a_single_picture_that_is_all_there_is_is_shown(folder):
    path = clips.encode(folder / "one.mov", "-c:v", "png", "-pix_fmt", "rgb24", frames=1)
    np.testing.assert_array_equal(read_clip(path).target_frame, clips.numbered_frame(0))


def test_what_cannot_be_decoded_is_passed_over(folder):
    """A stream of unknown format comes first; the next one is a film."""
    path = with_streams(folder / "unknown.mkv", "-disposition:v:0", "default")
    data = path.read_bytes()
    codec = b"V_MPEG4/ISO/AVC"
    assert data.count(codec) == 2
    path.write_bytes(data.replace(codec, b"V_MPEG4/ISO/XYZ", 1))
    assert probe(path).width == 320
    path.write_bytes(data.replace(codec, b"V_MPEG4/ISO/XYZ"))
    with pytest.raises(VideoReadError, match="cannot be decoded here; convert it to MP4"):
        probe(path)


def test_a_cover_alone_is_no_film(folder):
    path = folder / "song.m4a"
    cover = folder / "cover.png"
    clips.ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", cover)
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "sine=duration=1", "-i", cover, "-map", "0:a", "-map", "1:v"),
        *("-c:v", "png", "-disposition:v:0", "attached_pic", path),
    )
    with pytest.raises(VideoReadError, match="sound only"):
        probe(path)
