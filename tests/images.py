"""Small pictures for tests."""

import base64
import io

import numpy as np
from PIL import Image


def png(width: int = 64, height: int = 48) -> bytes:
    """A black picture."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def image_url(width: int = 64, height: int = 48) -> str:
    """A black picture as a data: address."""
    return "data:image/png;base64," + base64.b64encode(png(width, height)).decode()
