"""Still images as they are meant to be seen, and frames that exist one by one."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from videogem.media.video import Limits, VideoReadError, probe, read_clip, read_clips

ORIENTATION = 0x0112


def colours(width=40, height=24):
    """A picture without any symmetry."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns * 6, rows * 10, columns * 0 + 30], axis=-1).astype(np.uint8)


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, format, orientation):
    image = Image.fromarray(colours())
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    options = {"quality": 95} if format != "PNG" else {}
    path = tmp_path / f"picture.{format.lower()}"
    image.save(path, format, exif=exif.tobytes(), **options)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.target_frame, expected)
    assert clip.size_wh == ((24, 40) if orientation > 4 else (40, 24))
    assert (probe(path).width, probe(path).height) == clip.size_wh


class TestModes:
    def test_sixteen_bit_grey_keeps_its_range(self):
        ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
        frame = read_clip(saved(Image.fromarray(ramp), "PNG")).target_frame
        np.testing.assert_allclose(frame[..., 0], ramp / 257, atol=1)

    def test_palette_with_transparency(self):
        image = Image.fromarray(colours()).quantize(16)
        data = saved(image, "PNG", transparency=bytes(range(16)))
        assert read_clip(data).target_frame.shape == (24, 40, 3)

    def test_printers_colours(self):
        data = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
        red, green, blue = read_clip(data).target_frame[4, 4].tolist()
        assert red > 200 and green < 60 and blue < 60

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA"])
    def test_other_modes(self, mode):
        image = Image.fromarray(colours()).convert(mode)
        assert read_clip(saved(image, "PNG")).target_frame.shape == (24, 40, 3)


def test_a_window_repeats_the_picture(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.png")
    clip = read_clip(tmp_path / "a.png", time=12.5, num_frames=8)
    assert clip.frames.shape == (8, 24, 40, 3) and clip.target == 4
    assert np.ptp(clip.frames, axis=0).max() == 0
    assert clip.time == 0.0 and clip.fps is None


class TestErrors:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
    def test_cut_short(self, format):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        whole = saved(Image.fromarray(noise), format).getvalue()
        with pytest.raises(VideoReadError, match="cannot be read as a JPEG, PNG or WebP"):
            read_clip(io.BytesIO(whole[: len(whole) // 2]))

    def test_too_many_pixels_are_never_decoded(self):
        data = saved(Image.new("1", (30_000, 30_000)), "PNG")
        with pytest.raises(VideoReadError, match="pixels"):
            read_clip(data)
        with pytest.raises(VideoReadError, match="40x24"):
            read_clip(saved(Image.fromarray(colours()), "PNG"), limits=Limits(max_pixels=100))

    def test_svg_and_others_are_refused(self):
        with pytest.raises(VideoReadError, match="cannot be read as a video"):
            read_clip(io.BytesIO(b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 10))


class TestFrameLists:
    @pytest.fixture
    def folder(self, tmp_path):
        """Frames 0 to 11; their names sort as numbers, not as letters."""
        for number in range(12):
            Image.new("RGB", (20, 10), (number * 20, 0, 0)).save(tmp_path / f"frame{number}.png")
        (tmp_path / "notes.txt").write_text("not a frame")
        (tmp_path / ".hidden.png").write_bytes(b"broken")
        return tmp_path

    def numbers(self, clip):
        return (clip.frames[:, 0, 0, 0] // 20).tolist()

    def test_middle_and_neighbours_by_default(self, folder):
        clip = read_clip(folder, num_frames=8)
        assert self.numbers(clip) == [2, 3, 4, 5, 6, 7, 8, 9]
        assert clip.frame_index == 6 and clip.time == 6.0

    def test_nearest_repeats_at_the_ends(self, folder):
        assert self.numbers(read_clip(folder, time=1.0, num_frames=8)) == [0, 0, 0, 0, 1, 2, 3, 4]
        assert self.numbers(read_clip(folder, time=11.0, num_frames=8)) == [7, 8, 9, 10] + [11] * 4

    def test_with_a_rate_times_are_seconds(self, folder):
        clip = read_clip(folder, fps=4, time=1.5, num_frames=8)
        assert self.numbers(clip) == [2, 3, 4, 5, 6, 7, 8, 9]
        assert clip.time == 1.5 and clip.fps == 4.0
        assert probe(folder, fps=4).duration == 3.0
        with pytest.raises(VideoReadError, match="give one from 0 to 3"):
            read_clip(folder, fps=4, time=3.5)

    def test_lists_of_paths_and_files(self, folder):
        paths = [folder / f"frame{number}.png" for number in (5, 3, 4)]
        assert self.numbers(read_clip(paths, num_frames=3)) == [5, 3, 4]
        files = [io.BytesIO(path.read_bytes()) for path in paths]
        assert self.numbers(read_clip(files, num_frames=3)) == [5, 3, 4]
        assert [self.numbers(clip) for clip in read_clips(paths, [0.0, 2.0])] == [[5], [4]]

    def test_neighbours_of_another_size_follow_the_target(self, tmp_path):
        Image.new("RGB", (20, 10), "red").save(tmp_path / "1.png")
        Image.new("RGB", (40, 30), "red").save(tmp_path / "2.png")
        assert read_clip(tmp_path, time=1.0, num_frames=2).frames.shape == (2, 30, 40, 3)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(VideoReadError, match="holds no frames"):
            read_clip(tmp_path)
        with pytest.raises(VideoReadError, match="list of frames is empty"):
            read_clip([])

    def test_one_broken_frame_is_named(self, folder):
        (folder / "frame3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
        with pytest.raises(VideoReadError, match=r"frame3\.png cannot be read"):
            read_clip(folder, time=4.0, num_frames=8)
