"""Plain JPEG files by the shortest way: the bytes that Pillow gives, in less time and from threads.

Pillow takes its pixels out of the decoder by way of two more copies and while other threads wait.
Both decode with libjpeg-turbo's exact transform and smooth upsampling, so the pixels are the same.
What is not plain (turned by EXIF, CMYK, damaged in any way) is left to `videogem.media.stills`.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from jaxtyping import UInt8

START = b"\xff\xd8\xff"
MAX_BYTES = 64 * 2**20  # a larger file is no plain one, and is not read whole
_SCAN = b"\xda"  # marker of the pixels
_PLAIN = ("YCbCr", "Gray")
_TURNED = (b"Exif\0\0", b"tiff:Orientation")  # where an orientation may be told


@dataclass(frozen=True)
class Header:
    """What a plain file says about its picture; ``subsampling`` is ``"420"`` and the like."""

    width: int
    height: int
    colour: str
    subsampling: str


def read_header(data: bytes | bytearray) -> Header | None:
    """The header of a plain JPEG; None for everything else, damaged files among it."""
    start = _start_of_pixels(data)
    if start is None or any(data.find(mark, 0, start) >= 0 for mark in _TURNED):
        return None
    try:
        height, width, colour, subsampling = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return Header(width, height, colour, subsampling) if colour in _PLAIN else None


def _start_of_pixels(data: bytes | bytearray) -> int | None:
    """Where the first scan begins; what is told about the picture stands before it."""
    place = 2
    if not data.startswith(START):
        return None
    while data[place : place + 1] == b"\xff":
        if data[place + 1 : place + 2] == _SCAN:
            return place
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def decode(data: bytes | bytearray) -> UInt8[np.ndarray, "H W 3"] | None:
    """Pixels of a plain JPEG; None where anything about its data is wrong."""
    try:
        image: np.ndarray = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None
    return image
