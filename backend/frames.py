"""Open media -> the clip a narration is grounded in."""

from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from backend.fetch import MediaError
from videogem.structures import Clip


def read_frame(file: BinaryIO) -> Clip:
    """Decode one image, upright as the browser shows it.

    Raises:
        MediaError: not an image that can be decoded.
    """
    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise MediaError(f"The task's image cannot be decoded ({error}).") from None
    return Clip.from_image(np.asarray(upright))
