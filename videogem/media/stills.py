"""Still images, and folders or lists of them, as frames."""

import io
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from videogem.media import jpeg
from videogem.media.sources import (
    IMAGE_SUFFIXES,
    BinaryFile,
    Frame,
    FrameReader,
    FrameSource,
    Limits,
    PathOrFile,
    Seconds,
    VideoInfo,
    VideoReadError,
    check_pixels,
    open_file,
    source_name,
)
from videogem.structures import Clip

# Those that browsers show, and TIFF. Pillow's JPEG reader opens MPO too (what phones write as .jpg
# when a depth map or second view follows the picture) and registers no other.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "GIF")
_KNOWN = "JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF"
# What Pillow raises at damaged files: its readers take bytes apart before they count them.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, IndexError, struct.error,
)  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", *_TIFF)
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes; two letters alone would be too little
_AVIF = (b"avif", b"avis")
_OTHERS = (  # pictures that are told apart from videos, to be refused in words
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"v/1\x01", "an OpenEXR image"),
    *((4, b"ftyp" + brand, "a HEIF image") for brand in (b"heic", b"heix", b"heim", b"mif1")),
)
_HEAD = 1024  # bytes: an SVG may begin with a comment


def is_image(file: BinaryFile) -> bool:
    """Tell still images that can be read by their first bytes, not by their name.

    Raises:
        VideoReadError: an image of a kind that cannot be read.
    """
    head = file.read(_HEAD)
    file.seek(0)
    _refuse_others(head, source_name(cast(PathOrFile, file)))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return not _moves(file)
    riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    bitmap = head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    return riff or bitmap or _is_avif(head) or head.startswith(_STARTS)


def _is_avif(head: bytes) -> bool:
    """Whether AVIF is the brand of the file, or one of those it is compatible with."""
    length = int.from_bytes(head[:4], "big")
    brands = [head[place : place + 4] for place in (8, *range(16, min(length, 128), 4))]
    return head[4:8] == b"ftyp" and any(brand in _AVIF for brand in brands)


def _refuse_others(head: bytes, name: str) -> None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"<\0s\0v\0g" in head + b"\0"
    if (text.startswith(b"<") and re.search(rb"<(\w+:)?svg[\s>]", text)) or utf16:
        raise VideoReadError(
            f"{name} is an SVG drawing, which is made of shapes and has no pixels; export it as a "
            "PNG."
        )
    for start, mark, kind in () if _is_avif(head) else _OTHERS:
        if head[start : start + len(mark)] == mark:
            raise VideoReadError(
                f"{name} is {kind}, which cannot be read here; convert it to a JPEG or PNG."
            )


def _moves(file: BinaryFile) -> bool:
    """Whether a GIF has more than one picture; those are read as videos."""
    try:
        with Image.open(cast(IO[bytes], file), formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return False  # reading it as an image says what is wrong
    finally:
        file.seek(0)


def decoded_bytes(file: BinaryFile) -> int | None:
    """What decoding a still image takes in memory, by its header: the pixels, and as much again.

    None where the file is no still image, or its header cannot be read; it is rewound.

    Raises:
        VideoReadError: an image of a kind that cannot be read.
    """
    if not is_image(file):
        return None
    try:
        Image.init()
        with Image.open(cast(IO[bytes], file), formats=_FORMATS) as image:
            width, height = image.size
    except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None  # reading it says what is wrong
    finally:
        file.seek(0)
    return 2 * 3 * width * height


def read_image(source: PathOrFile, *, limits: Limits) -> UInt8[np.ndarray, "H W 3"]:
    """Read a still image as it is meant to be seen: EXIF orientation applied, RGB, 8 bits.

    Of several pages (TIFF) or pictures the first is read.

    Raises:
        VideoReadError: damaged, another format, or larger than the limits.
    """
    with open_file(source, limits) as (file, size):
        return _read(file, size, source_name(source), limits)


def _read(file: BinaryFile, size: int, name: str, limits: Limits) -> UInt8[np.ndarray, "H W 3"]:
    plain = _read_plain_jpeg(file, size, name, limits)
    if plain is not None:
        return plain
    try:
        Image.init()  # registers MPO and WebP, which `formats` may only name afterwards
        with Image.open(cast(IO[bytes], file), formats=_FORMATS) as image:
            check_pixels(name, *image.size, limits)
            image.load()
            if image.mode == "F":
                raise VideoReadError(
                    f"{name} holds numbers with a point, and does not say which of them is "
                    "white; convert it to 8 or 16 bits a pixel."
                )
            return np.array(_upright_rgb(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VideoReadError(f"{name} has too many pixels; scale it down.") from error
    except VideoReadError:
        raise
    except _DAMAGE as error:
        raise VideoReadError(
            f"{name} cannot be read as a {_KNOWN} image ({_reason(error)}); "
            "it may be damaged, cut short or of another format."
        ) from error


def _plain_jpeg(
    file: BinaryFile, size: int, name: str, limits: Limits
) -> tuple[bytes | bytearray, jpeg.Header] | None:
    """The bytes of a plain JPEG within the limits, and what they say of it; None for others."""
    if size > jpeg.MAX_BYTES or file.read(len(jpeg.START)) != jpeg.START:
        return None
    file.seek(0)
    data = _read_all(file, size)
    header = jpeg.read_header(data)
    if header is None:
        return None
    check_pixels(name, header.width, header.height, limits)
    return data, header


def _read_all(file: BinaryFile, size: int) -> bytes | bytearray:
    """All of a file, into memory that may be handed on to a device without another copy."""
    if not isinstance(file, io.BufferedReader):
        return file.read()
    data = bytearray(size)
    return data if file.readinto(data) == size else bytes(data)


def _read_plain_jpeg(
    file: BinaryFile, size: int, name: str, limits: Limits
) -> UInt8[np.ndarray, "H W 3"] | None:
    """The pixels of a plain JPEG; of others None, and the file as it was."""
    found = _plain_jpeg(file, size, name, limits)
    image = None if found is None else jpeg.decode(found[0])
    if image is None:
        file.seek(0)
    return image


def _upright_rgb(image: Image.Image) -> Image.Image:
    with suppress(*_DAMAGE):  # a broken EXIF block must not cost the picture
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey: convert() would clip it to white
        levels = np.asarray(image)
        grey = (levels.astype(np.float64) / 257).round().clip(0, 255).astype(np.uint8)
        clear = image.info.get("transparency")
        if clear is not None:
            grey[levels == clear] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        return Image.fromarray(on_white(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "unknown format"
    return re.sub(r"\s+", " ", str(error)).rstrip(".") or type(error).__name__


def list_frames(folder: Path) -> list[Path]:
    """Images of a folder in the order of the numbers in their names (2.jpg before 10.jpg).

    Raises:
        VideoReadError: the folder holds no image.
    """
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not files:
        raise VideoReadError(
            f"The folder {folder.name or folder} holds no frames; put images in it."
        )
    return sorted(files, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


class FrameList(FrameReader):
    """Frames that exist one by one: frame ``i`` appears at ``i / fps``.

    One given as a function is opened when it is read, and closed again: thousands of open files
    are more than a process may have.

    Without a rate the times are the frame numbers themselves (one frame a second).
    """

    def __init__(
        self, frames: Sequence[FrameSource], *, fps: Seconds | None, limits: Limits
    ) -> None:
        if not frames:
            raise VideoReadError("The list of frames is empty; give at least one image.")
        if fps is not None and not 0 < fps < 1e6:
            raise VideoReadError(f"The frame rate must be a positive number, got {fps}.")
        self._frames = frames
        self._rate = fps or 1.0
        self._limits = limits
        middle = self._read(len(frames) // 2)
        duration = len(frames) / self._rate
        self.name = f"the list of {len(frames)} frames"
        self.info = VideoInfo(
            kind="frames",
            width=middle.shape[1],
            height=middle.shape[0],
            fps=None if fps is None else float(fps),
            duration=duration,
            end=duration,
            num_frames=len(frames),
        )

    def frames_at(self, times: Sequence[Seconds]) -> Iterator[Frame]:
        frame: Frame | None = None
        for time in times:
            index = min(int(time * self._rate + 1e-6), len(self._frames) - 1)
            if frame is None or frame.index != index:
                image = self._read(index)
                frame = Frame(image, index / self._rate, index)
            yield frame

    def _read(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        entry = self._frames[index]
        if not callable(entry):
            return read_image(entry, limits=self._limits)
        with entry() as file:
            return read_image(file, limits=self._limits)

    def neighbours(self, time: Seconds, offsets: Sequence[int]) -> list[float]:
        index = min(int(time * self._rate + 1e-6), len(self._frames) - 1)
        last = len(self._frames) - 1
        return [min(max(index + offset, 0), last) / self._rate for offset in offsets]


class EncodedClip(Clip):
    """A still image that stays encoded until somebody looks at its pixels.

    Its bytes are a twentieth of them, so many can wait; a GPU may decode them itself
    (`videogem.backbones.cuda_jpeg`). Whoever asks for ``frames`` gets what `read_image` gives,
    each time anew.

    Raises:
        VideoReadError: on looking at ``frames``: the file is damaged.
    """

    data: bytes | bytearray
    header: jpeg.Header
    name: str

    def __init__(
        self, data: bytes | bytearray, header: jpeg.Header, *, name: str, limits: Limits
    ) -> None:
        fields = {"times": np.zeros(1), "frame_indices": np.zeros(1, np.int64), "target": 0}
        vars(self).update(fields, fps=None, data=data, header=header, name=name, _limits=limits)

    @property
    def frames(self) -> UInt8[np.ndarray, "1 H W 3"]:
        limits: Limits = vars(self)["_limits"]
        return _read(io.BytesIO(self.data), len(self.data), self.name, limits)[None]

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.header.width, self.header.height

    @property
    def num_bytes(self) -> int:
        return len(self.data)


class EncodedImage(FrameReader):
    """A plain JPEG that is not decoded here; every moment shows it."""

    def __init__(self, clip: EncodedClip) -> None:
        self.name = clip.name
        self.clip = clip
        width, height = clip.size_wh
        self.info = _still_info(width, height)

    @classmethod
    def of(cls, file: BinaryFile, size: int, name: str, limits: Limits) -> "EncodedImage | None":
        """The file as such an image; None, and the file as it was, where it is another."""
        found = _plain_jpeg(file, size, name, limits)
        file.seek(0)
        return None if found is None else cls(EncodedClip(*found, name=name, limits=limits))

    def frames_at(self, times: Sequence[Seconds]) -> Iterator[Frame]:
        frame = Frame(self.clip.target_frame, 0.0, 0)
        return iter([frame] * len(times))

    def neighbours(self, time: Seconds, offsets: Sequence[int]) -> list[float]:
        return [time] * len(offsets)


class StillImage(FrameReader):
    """A picture without time: every moment shows it."""

    def __init__(self, source: PathOrFile, *, limits: Limits) -> None:
        self.name = source_name(source)
        self._frame = Frame(read_image(source, limits=limits), 0.0, 0)
        height, width, _ = self._frame.image.shape
        self.info = _still_info(width, height)

    def frames_at(self, times: Sequence[Seconds]) -> Iterator[Frame]:
        return iter([self._frame] * len(times))

    def neighbours(self, time: Seconds, offsets: Sequence[int]) -> list[float]:
        return [time] * len(offsets)


def _still_info(width: int, height: int) -> VideoInfo:
    return VideoInfo(
        kind="image", width=width, height=height, fps=None, duration=0.0, end=0.0, num_frames=1
    )


def on_white(image: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 3"]:
    """Colours with their opacity, laid on white."""
    opacity = image[..., 3:].astype(np.uint16)
    mixed = image[..., :3] * opacity + 255 * (255 - opacity)
    return ((mixed + 127) // 255).astype(np.uint8)
