"""Heatmap -> mask, and the two forms in which Label Studio stores masks."""

import base64
import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

MAP_WEIGHTS = (0.2, 0.2, 0.6)  # verb, object, action: the paper's weights, here of whole maps
DEFAULT_LEVEL = 0.5


def action_mask(
    heatmaps: np.ndarray, size_wh: tuple[int, int], *, level: float = DEFAULT_LEVEL
) -> np.ndarray:
    """Pixels of the frame where the mean of the heatmaps reaches ``level`` of its peak.

    Never empty: the peak itself always belongs to it.
    """
    merged = np.tensordot(np.asarray(MAP_WEIGHTS, np.float32), heatmaps, axes=1)
    full = cv2.resize(merged.astype(np.float32), size_wh, interpolation=cv2.INTER_LINEAR)
    return full >= level * float(full.max())


def brush_rle(mask: np.ndarray) -> list[int]:
    """The mask as Label Studio's run lengths."""
    from label_studio_sdk.converter.brush import mask2rle

    # The SDK's converter has no annotations.
    rle: Sequence[int] = mask2rle(mask.astype(np.uint8) * 255)  # type: ignore[no-untyped-call]
    return [int(number) for number in rle]


def bitmask_url(mask: np.ndarray) -> str:
    """The mask as a PNG of the frame's size: black where set, transparent elsewhere."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask, 3] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
