"""From heatmaps to a box."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from videogem.metrics import enclosing_box
from videogem.structures import Box

DEFAULT_THRESHOLD = 0.5


def region_box(heatmap: Float[np.ndarray, "H W"], threshold: float = DEFAULT_THRESHOLD) -> Box:
    """Box of the connected region round the peak where the map is at least ``threshold``.

    Pixels touching at a corner are connected. The peak itself always belongs to the region, so the
    box is never empty; on a constant map it is the first pixel.
    """
    height, width = heatmap.shape
    row, column = divmod(int(heatmap.argmax()), width)
    mask = heatmap >= threshold
    mask[row, column] = True
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    left, top, box_width, box_height, _ = stats[labels[row, column]].tolist()
    return (
        left / width,
        top / height,
        (left + box_width) / width,
        (top + box_height) / height,
    )


def action_box(
    heatmaps: Float[np.ndarray, "P H W"],
    weights: Sequence[float],
    threshold: float = DEFAULT_THRESHOLD,
) -> Box:
    """Box of an action from the heatmaps of its verb, object and action prompts.

    PLACEHOLDER
    """
    verb, object_, action = heatmaps
    parts = [m for m, weight in zip((verb, object_), weights[:2], strict=True) if weight]
    return enclosing_box([region_box(part, threshold) for part in parts or [action]])
