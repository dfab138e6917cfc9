"""Label Studio's two forms of masks -> pixels.

What somebody sent says how large it wants to be, so every size is checked before memory is asked
for. Anything that is no mask, or one too large to be a frame's, is read as None.
"""

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MAX_MASK_PIXELS = 50_000_000  # of one mask: more than 8K video
MAX_RLE_NUMBERS = 1_000_000  # of one mask: the most intricate one of a 4K frame has fewer
HEADER_BITS = 32 + 5 + 4 * 4  # number of values, bits of one, bits of the four run lengths
CHANNELS = 4  # the run lengths are of RGBA values; alpha is the mask


def read_mask(value: Mapping[str, Any], size_wh: tuple[float, float]) -> np.ndarray | None:
    """The mask of a region's value, bool H W, in whichever form it was sent."""
    rle, url = value.get("rle"), value.get("imageDataURL")
    if isinstance(rle, list):
        return read_brush(rle, (round(size_wh[0]), round(size_wh[1])))
    return read_bitmask(url) if isinstance(url, str) else None


def read_brush(rle: Sequence[Any], size_wh: tuple[int, int]) -> np.ndarray | None:
    """The mask of run lengths, bool H W; None unless they are those of a frame of this size.

    Source: `label_studio_sdk.converter.brush.decode_rle`, which believes the size in the header.
    """
    width, height = size_wh
    pixels = width * height
    if not 0 < pixels <= MAX_MASK_PIXELS or not 0 < len(rle) <= MAX_RLE_NUMBERS:
        return None
    try:
        data = bytes(rle)
    except (TypeError, ValueError):  # numbers outside 0 to 255, or none
        return None
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    text = "".join(map("{:08b}".format, data))
    if len(text) < HEADER_BITS or int(text[:32], 2) != pixels * CHANNELS:
        return None
    if int(text[32:37], 2) + 1 != 8:
        return None
    lengths = [int(text[start : start + 4], 2) + 1 for start in range(37, HEADER_BITS, 4)]
    values = np.zeros(pixels * CHANNELS, np.uint8)
    return _fill(values, text, bits, lengths).reshape(height, width, 4)[..., 3] > 0


def _fill(values: np.ndarray, text: str, bits: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Unroll the runs; where the data ends early the rest stays empty."""
    at, done, end = HEADER_BITS, 0, len(text)
    while done < len(values) and at + 3 <= end:
        repeated = text[at] == "1"
        length_bits = lengths[int(text[at + 1 : at + 3], 2)]
        start = at + 3 + length_bits
        if start + 8 > end:
            break
        count = int(text[at + 3 : start], 2) + 1
        if repeated:
            values[done : done + count] = int(text[start : start + 8], 2)
            at = start + 8
        else:
            count = min(count, len(values) - done, (end - start) // 8)
            values[done : done + count] = np.packbits(bits[start : start + 8 * count])
            at = start + 8 * count
        done += count
    return values


def read_bitmask(url: str) -> np.ndarray | None:
    """The mask of a PNG in a data URL, bool H W."""
    from PIL import Image

    if "," not in url:
        return None
    try:
        data = base64.b64decode(url.split(",", 1)[1], validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > MAX_MASK_PIXELS:
                return None
            return np.asarray(image.convert("RGBA"))[..., 3] > 0
    except (
        binascii.Error, OSError, ValueError, SyntaxError, MemoryError,
        Image.DecompressionBombError, Image.DecompressionBombWarning,
    ):  # fmt: skip
        return None
