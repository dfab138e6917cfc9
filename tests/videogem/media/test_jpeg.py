"""JPEG by the short way: Pillow's bytes, and Pillow's word where anything is wrong."""

import io

import numpy as np
import pytest
from PIL import Image

from videogem.media import jpeg, stills
from videogem.media.sources import DEFAULT_LIMITS, Limits, VideoReadError
from videogem.media.stills import EncodedClip, read_image
from videogem.media.video import open_frames, read_clip

ORIENTATION = 0x0112


def picture(width=83, height=61, seed=0):
    rng = np.random.default_rng(seed)
    waves = (
        np.sin(np.linspace(0, 9, width))[None, :, None]
        * np.cos(np.linspace(0, 7, height))[:, None, None]
    )
    noise = rng.normal(0, 8, (height, width, 3))
    return np.clip(127 + 90 * waves * np.array([1, -0.6, 0.3]) + noise, 0, 255).astype(np.uint8)


def encoded(image=None, **options):
    buffer = io.BytesIO()
    Image.fromarray(picture() if image is None else image).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(data):
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.array(image.convert("RGB"))


@pytest.fixture
def no_pillow(monkeypatch):
    """Pillow's reader is out of reach."""

    def refuse(*_, **__):
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr(stills.Image, "open", refuse)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [30, 85, 100])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_the_same_bytes_as_pillow(subsampling, quality, options, request):
    for size in ((83, 61), (64, 48), (7, 5)):
        data = encoded(picture(*size), quality=quality, subsampling=subsampling, **options)
        expected = by_pillow(data)
        request.getfixturevalue("no_pillow")
        np.testing.assert_array_equal(read_image(io.BytesIO(data), limits=DEFAULT_LIMITS), expected)
        request.getfixturevalue("monkeypatch").undo()


def test_grey(no_pillow):
    data = encoded(picture()[..., 0])
    image = read_image(io.BytesIO(data), limits=DEFAULT_LIMITS)
    assert (image[..., 0] == image[..., 2]).all()
    assert np.abs(image[..., 0].astype(int) - picture()[..., 0]).mean() < 6


def test_what_is_not_plain_is_left_to_pillow():
    exif = Image.fromarray(picture()).getexif()
    exif[ORIENTATION] = 6
    turned = encoded(exif=exif.tobytes())
    buffer = io.BytesIO()
    Image.fromarray(picture()).convert("CMYK").save(buffer, "JPEG")
    xmp = encoded(xmp=b'<x tiff:Orientation="6"/>')
    for data in (turned, buffer.getvalue(), xmp, b"\x89PNG", b"", encoded()[:300]):
        assert jpeg.read_header(data) is None
    image = read_image(io.BytesIO(turned), limits=DEFAULT_LIMITS)
    assert image.shape == (83, 61, 3)


def test_damage_is_what_pillow_says():
    """Bytes thrown into a file, and files cut short, with and without an end put to them."""
    rng = np.random.default_rng(3)
    whole = encoded(picture(160, 120), quality=85)
    outcomes = {"pixels": 0, "refused": 0}
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(2, len(data), 2):
            data[place] = rng.integers(256)
        if rng.random() < 0.5:
            del data[rng.integers(600, len(data)) :]
            data += whole[-2:] if rng.random() < 0.5 else b""
        try:
            expected = by_pillow(bytes(data))
        except (OSError, SyntaxError, ValueError):
            outcomes["refused"] += 1
            with pytest.raises(VideoReadError):
                read_image(io.BytesIO(bytes(data)), limits=DEFAULT_LIMITS)
            continue
        outcomes["pixels"] += 1
        found = read_image(io.BytesIO(bytes(data)), limits=DEFAULT_LIMITS)
        if found.shape == expected.shape:  # a byte may have become an orientation
            np.testing.assert_array_equal(found, expected)
    assert min(outcomes.values()) > 30


def test_limits_hold_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(jpeg, "decode", lambda _: pytest.fail("decoded"))
    with pytest.raises(VideoReadError, match="pixels"):
        read_image(io.BytesIO(encoded()), limits=Limits(max_pixels=1000))


def test_large_files_are_not_read_whole(monkeypatch):
    monkeypatch.setattr(jpeg, "MAX_BYTES", 100)
    monkeypatch.setattr(jpeg, "read_header", lambda _: pytest.fail("read whole"))
    data = encoded()
    found = read_image(io.BytesIO(data), limits=DEFAULT_LIMITS)
    np.testing.assert_array_equal(found, by_pillow(data))


class TestEncodedClip:
    def test_it_is_decoded_by_whoever_looks(self, monkeypatch):
        data = encoded()
        decoded = []
        monkeypatch.setattr(
            jpeg, "decode", lambda data, decode=jpeg.decode: decoded.append(1) or decode(data)
        )
        clip = read_clip(io.BytesIO(data), encoded=True)
        assert isinstance(clip, EncodedClip)
        assert (clip.size_wh, clip.num_frames, clip.time, clip.frame_index) == ((83, 61), 1, 0.0, 0)
        assert clip.num_bytes == len(data)
        assert not decoded
        np.testing.assert_array_equal(clip.target_frame, by_pillow(data))
        assert decoded

    def test_others_are_read_as_ever(self):
        buffer = io.BytesIO()
        Image.fromarray(picture()).save(buffer, "PNG")
        clip = read_clip(buffer, encoded=True)
        assert not isinstance(clip, EncodedClip)
        np.testing.assert_array_equal(clip.target_frame, picture())

    def test_several_frames_are_decoded_once(self):
        clip = read_clip(io.BytesIO(encoded()), num_frames=3, encoded=True)
        assert clip.frames.shape == (3, 61, 83, 3)

    def test_damage_is_told_as_of_a_decoded_image(self, tmp_path):
        path = tmp_path / "cut.jpg"
        path.write_bytes(encoded(picture(160, 120))[:2000])
        with pytest.raises(VideoReadError) as expected:
            read_clip(path)
        with open_frames(path, encoded=True) as reader:
            assert reader.info.width == 160
        with pytest.raises(VideoReadError) as found:
            read_clip(path, encoded=True).frames  # noqa: B018 (looking at it decodes it)
        assert str(found.value) == str(expected.value)
        assert "cut.jpg" in str(found.value)
