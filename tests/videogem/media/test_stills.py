"""Still images as they are meant to be seen, and frames that exist one by one."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import clips
from videogem.datasets.resolve import image_size
from videogem.media.video import Limits, VideoReadError, probe, read_clip, read_clips

ORIENTATION = 0x0112
CASES = Path(__file__).parents[2] / "data/media"


def colours(width=40, height=24):
    """A picture without any symmetry."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns * 6, rows * 10, columns * 0 + 30], axis=-1).astype(np.uint8)


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, format, orientation):
    image = Image.fromarray(colours())
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    options = {"quality": 95} if format not in ("PNG", "TIFF") else {}
    path = tmp_path / f"picture.{format.lower()}"
    image.save(path, format, exif=exif.tobytes(), **options)
    turns = {
        2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90,
    }  # fmt: skip
    expected = turns.get(orientation, np.array)(colours()).astype(int)
    clip = read_clip(path)
    assert np.abs(clip.target_frame - expected).mean() < 6  # lossy formats; a wrong turn is > 20
    assert image_size(path) == clip.size_wh  # from the header alone
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

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_sixteen_bit_grey_tiff(self, order):
        ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
        image = Image.frombytes("I;16" if order == "<" else "I;16B", (16, 16),
                                ramp.astype(order + "u2").tobytes())  # fmt: skip
        frame = read_clip(saved(image, "TIFF")).target_frame
        np.testing.assert_allclose(frame[..., 1], ramp / 257, atol=1)

    def test_sixteen_bit_colours(self, tmp_path):
        clips.require_ffmpeg()
        clips.ffmpeg(
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "40x24", "-i", "-", "-frames:v", "1"),
            *("-pix_fmt", "rgb48le", tmp_path / "deep.tiff"),
            stdin=colours().tobytes(),
        )
        frame = read_clip(tmp_path / "deep.tiff").target_frame
        np.testing.assert_allclose(frame.astype(int), colours(), atol=1)

    def test_of_many_pages_the_first(self):
        pages = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
        data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
        assert read_clip(data).target_frame[0, 0].tolist() == [255, 0, 0]

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg", "group4"])
    def test_compressed_tiff(self, compression):
        image = Image.fromarray(colours()).convert("1" if compression == "group4" else "RGB")
        assert read_clip(saved(image, "TIFF", compression=compression)).size_wh == (40, 24)

    @pytest.mark.parametrize(
        ("format", "options"),
        [
            ("BMP", {}), ("TIFF", {"big_tiff": True}), ("GIF", {}),
            ("WEBP", {"lossless": True}), ("AVIF", {"quality": 100}),
        ],
    )  # fmt: skip
    def test_formats_by_content(self, format, options):
        data = saved(Image.fromarray(colours()), format, **options)
        data.name = "wrong.mp4"
        assert probe(data).kind == "image"
        difference = np.abs(read_clip(data).target_frame.astype(int) - colours())
        assert difference.mean() < (8 if format == "GIF" else 3)

    @pytest.mark.parametrize("format", ["WEBP", "AVIF", "PNG"])
    def test_of_moving_pictures_the_first(self, format):
        steps = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
        data = saved(steps[0], format, save_all=True, append_images=steps[1:], duration=200)
        frame = read_clip(data, time=0.3).target_frame
        assert frame[8, 8, 0] > 200 and frame[8, 8, 2] < 60

    def test_a_moving_gif_stays_a_video(self):
        steps = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
        data = saved(steps[0], "GIF", save_all=True, append_images=steps[1:], duration=200)
        assert probe(data).kind == "video"
        assert read_clip(data, time=0.3).target_frame[8, 8].tolist() == [0, 0, 255]

    def test_the_bitmap_of_the_cases(self):
        clip = read_clip(CASES / "x.bmp")
        with Image.open(CASES / "x.bmp") as image:
            np.testing.assert_array_equal(clip.target_frame, np.asarray(image))

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
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "GIF"])
    def test_cut_short(self, format):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        whole = saved(Image.fromarray(noise), format).getvalue()
        with pytest.raises(VideoReadError, match="cannot be read as a JPEG, PNG, WebP"):
            read_clip(io.BytesIO(whole[: len(whole) // 2]))

    def test_too_many_pixels_are_never_decoded(self):
        data = saved(Image.new("1", (30_000, 30_000)), "PNG")
        with pytest.raises(VideoReadError, match="pixels"):
            read_clip(data)
        with pytest.raises(VideoReadError, match="40x24"):
            read_clip(saved(Image.fromarray(colours()), "PNG"), limits=Limits(max_pixels=100))

    @pytest.mark.parametrize(
        "head",
        [
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<!DOCTYPE svg>\n<svg width='9'>",
            b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'>",
            "\ufeff<svg width='9'/>".encode("utf-16-le"),
        ],
    )
    def test_a_drawing_is_refused_as_one(self, head):
        with pytest.raises(VideoReadError, match=r"is an SVG drawing.*export it as a PNG"):
            read_clip(io.BytesIO(head + b" " * 400))

    @pytest.mark.parametrize(
        ("head", "kind"),
        [
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
            (b"8BPS\0\1", "Photoshop"),
            (b"\xff\x0a\xfa\x1f", "JPEG XL"),
            (b"%PDF-1.7", "PDF"),
        ],
    )
    def test_other_pictures_are_named(self, head, kind):
        with pytest.raises(VideoReadError, match=f"{kind}.*convert it to a JPEG or PNG"):
            read_clip(io.BytesIO(head + b"\0" * 400))

    def test_numbers_without_a_white_are_refused(self):
        data = saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
        with pytest.raises(VideoReadError, match="does not say which of them is white"):
            read_clip(data)

    def test_two_letters_make_no_bitmap(self):
        with pytest.raises(VideoReadError, match="cannot be read as a video"):
            read_clip(io.BytesIO(b"BM is how this text begins, and it is none" * 10))


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
