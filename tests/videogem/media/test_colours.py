"""Colours as players show them: patches of known colours through real files made by ffmpeg."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from tests.clips import ffmpeg
from videogem.media.colours import on_white
from videogem.media.sources import Limits
from videogem.media.stills import read_image
from videogem.media.video import open_frames

PATCHES = [
    (200, 40, 40),
    (40, 180, 60),
    (30, 60, 190),
    (20, 20, 20),
    (150, 150, 150),
    (190, 150, 40),
]
SD, HD = (640, 360), (1280, 720)
BT709, BT601, BT2020 = (0.2126, 0.0722), (0.299, 0.114), (0.2627, 0.0593)  # red's, blue's share
TO_BT2020 = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]


def stripes(size, colours=PATCHES, type_=np.float64):
    width, height = size
    columns = np.arange(width) * len(colours) // width
    return np.broadcast_to(np.array(colours, type_)[columns], (height, width, len(colours[0])))


def to_yuv(rgb, shares, *, bits=8, full=False):
    """Planes of a picture (values in [0, 1]) by the formulas of the standards."""
    red, blue = shares
    luma = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    chroma = [(rgb[..., i] - luma) / (2 * (1 - s)) for i, s in ((2, blue), (0, red))]
    unit = 2 ** (bits - 8)
    if full:
        top = 2**bits - 1
        planes = [top * luma, *(top * c + 128 * unit for c in chroma)]
    else:
        planes = [(219 * luma + 16) * unit, *((224 * c + 128) * unit for c in chroma)]
    limit = 2**bits - 1
    return np.stack(planes).round().clip(0, limit).astype(np.uint8 if bits == 8 else "<u2")


def clip(path, planes, *options, pixels="yuv444p"):
    """A lossless video of one picture, shown three times."""
    height, width = planes.shape[1:]
    raw = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", "5", "-i", "-"]
    ffmpeg(*raw, "-c:v", "ffv1", *options, path, stdin=planes.tobytes() * 3)
    return path


def shown(path, count=6):
    with open_frames(path) as reader:
        [frame] = reader.frames_at([0.2])
    height, width, _ = frame.image.shape
    return [
        tuple(frame.image[height // 2, (2 * k + 1) * width // (2 * count)]) for k in range(count)
    ]


def error(found, expected=PATCHES):
    return max(
        abs(int(a) - b)
        for x, y in zip(found, expected, strict=True)
        for a, b in zip(x, y, strict=True)
    )


TAGS = {"709": ["-colorspace", "bt709"], "601": ["-colorspace", "smpte170m"], "none": []}


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("size", "shares", "tag"),
    [(SD, BT709, "709"), (SD, BT601, "601"), (HD, BT709, "709"), (HD, BT601, "601"),
     (SD, BT601, "none"), (HD, BT709, "none")],
)  # fmt: skip
def test_matrix_and_range_are_those_told_or_those_players_take(tmp_path, size, shares, tag, full):
    planes = to_yuv(stripes(size) / 255, shares, full=full)
    # Range is told: without it limited is what every player takes.
    told = [*TAGS[tag], *(["-color_range", "pc"] if full else [])]
    assert error(shown(clip(tmp_path / "a.mkv", planes, *told))) <= 2


def test_h264_in_mp4_of_untagged_hd(tmp_path):
    planes = to_yuv(stripes(HD) / 255, BT709)
    path = clip(tmp_path / "a.mp4", planes, "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p")
    with av.open(str(path)) as container:
        assert int(next(container.decode(video=0)).colorspace) == 2  # nothing is said
    assert error(shown(path)) <= 2


def light_of(patches):
    signal = np.array(patches) / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def pq(nits):
    power = (np.maximum(nits, 0) / 10000) ** (2610 / 16384)
    top = 3424 / 4096 + 2413 / 128 * power
    return (top / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(nits):
    screen = nits / 1000
    luminance = screen @ np.array([0.2627, 0.6780, 0.0593])
    scene = screen * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    low = np.sqrt(3 * np.maximum(scene, 0))
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, low, high)


@pytest.mark.parametrize(("curve", "name"), [(pq, "smpte2084"), (hlg, "arib-std-b67")])
def test_high_dynamic_range_shows_the_colours_of_a_standard_screen(tmp_path, curve, name):
    """Patches as bright as on white paper of 203 cd/m2, and a light five times as bright."""
    colours = [*PATCHES, (1000, 1000, 1000)]
    nits = 203 * light_of(PATCHES) @ np.array(TO_BT2020).T
    signal = curve(np.concatenate([nits, [[1000.0] * 3]]))
    planes = to_yuv(stripes(SD, signal.tolist()), BT2020, bits=10)
    told = ["-color_primaries", "bt2020", "-color_trc", name, "-colorspace", "bt2020nc"]
    path = clip(tmp_path / "a.mkv", planes, *told, pixels="yuv444p10le")
    *found, lamp = shown(path, count=len(colours))
    assert error(found) <= 4
    assert min(lamp) >= 250


def test_wide_colours_of_standard_range(tmp_path):
    light = light_of(PATCHES) @ np.array(TO_BT2020).T
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    planes = to_yuv(stripes(SD, signal.tolist()), BT2020, bits=10)
    told = ["-color_primaries", "bt2020", "-color_trc", "bt2020-10", "-colorspace", "bt2020nc"]
    assert error(shown(clip(tmp_path / "a.mkv", planes, *told, pixels="yuv444p10le"))) <= 4


def test_grey_and_rgb_videos_are_left_as_they_are(tmp_path):
    rgb = np.moveaxis(stripes(SD, type_=np.uint8), -1, 0)[[1, 2, 0]]  # planes of gbrp
    assert error(shown(clip(tmp_path / "rgb.mkv", np.ascontiguousarray(rgb), pixels="gbrp"))) == 0
    levels = [(0,) * 3, (16,) * 3, (128,) * 3, (235,) * 3, (250,) * 3, (255,) * 3]
    grey = np.ascontiguousarray(stripes(SD, levels, np.uint8)[None, ..., 0])
    assert error(shown(clip(tmp_path / "grey.mkv", grey, pixels="gray")), levels) <= 1


SEEN = [(10, 20, 200), (255, 255, 255), (132, 137, 227), (255, 255, 255)]
GIVEN = [(10, 20, 200, 255), (10, 20, 200, 0), (10, 20, 200, 128), (0, 0, 0, 0)]


def test_transparent_video_lies_on_white(tmp_path):
    path = tmp_path / "a.mov"
    raw = stripes(SD, GIVEN, np.uint8).tobytes() * 3
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "640x360", "-r", "5", "-i", "-",
           "-c:v", "png", path, stdin=raw)  # fmt: skip
    assert error(shown(path, 4), SEEN) <= 1


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def sixteen_bits(*values):
    """A PNG of RGBA with 16 bits a channel, which Pillow does not write."""
    size = f"{len(values) // 4}x1"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgba64be", "-s", size, "-i", "-"]
    once = ["-frames:v", "1", "-c:v", "png", "-f", "image2pipe", "-"]
    return ffmpeg(*raw, *once, stdin=np.array(values, ">u2").tobytes())


def palette():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 200, 0, 0, 0])
    image.putdata([0, 1])
    return saved(image, "PNG", transparency=bytes([255, 0]))


STILLS = {
    "rgba": (saved(Image.fromarray(np.array([GIVEN], np.uint8)), "PNG"), SEEN),
    "webp": (saved(Image.fromarray(np.array([GIVEN], np.uint8)), "WEBP", lossless=True), SEEN),
    "grey": (saved(Image.fromarray(np.array([[(50, 255), (50, 0)]], np.uint8)), "PNG"),
             [(50,) * 3, (255,) * 3]),
    "palette": (palette(), [(10, 20, 200), (255, 255, 255)]),
    "one colour": (saved(Image.fromarray(np.array([[(9, 9, 9), (5, 6, 7)]], np.uint8)), "PNG",
                         transparency=(9, 9, 9)), [(255, 255, 255), (5, 6, 7)]),
    "one level": (saved(Image.fromarray(np.array([[9, 80]], np.uint8)), "PNG", transparency=9),
                  [(255,) * 3, (80,) * 3]),
    "16 bits, one level": (saved(Image.fromarray(np.array([[9 * 257, 80 * 257]], np.uint16)), "PNG",
                                 transparency=9 * 257), [(255,) * 3, (80,) * 3]),
}  # fmt: skip


@pytest.mark.parametrize("name", STILLS)
def test_transparent_stills_lie_on_white(name):
    data, expected = STILLS[name]
    image = read_image(io.BytesIO(data), limits=Limits())
    assert error([tuple(pixel) for pixel in image[0]], expected) <= 1


def test_sixteen_bits_a_channel():
    data = sixteen_bits(10 * 257, 20 * 257, 200 * 257, 65535, 10 * 257, 20 * 257, 200 * 257, 0)
    image = read_image(io.BytesIO(data), limits=Limits())
    assert error([tuple(pixel) for pixel in image[0]], SEEN[:2]) <= 1


def test_opacity_is_rounded_once():
    pixels = np.array([[[100, 0, 255, opacity] for opacity in range(256)]], np.uint8)
    exact = pixels[..., :3] * (pixels[..., 3:] / 255) + 255 - pixels[..., 3:]
    assert np.abs(on_white(pixels) - exact).max() <= 0.5
