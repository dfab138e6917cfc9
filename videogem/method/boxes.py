"""From heatmaps to a box."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from videogem.method.heatmaps import LEVEL, peak_pixel
from videogem.metrics import box_area, enclosing_box
from videogem.structures import Box

DEFAULT_THRESHOLD = 0.5
WIDEST = 0.5  # share of the frame; a region that covers more names no place
FULLEST = 1 / 3  # share of a box; two regions that fill less of it lie apart


def region_box(heatmap: Float[np.ndarray, "H W"], threshold: float = DEFAULT_THRESHOLD) -> Box:
    """Box of the region round the peak, in [0, 1]; see `peak_region`."""
    return scale_box(peak_region(heatmap, peak_pixel(heatmap), threshold), heatmap.shape)


def scale_box(pixels: Sequence[int], size_hw: tuple[int, ...]) -> Box:
    """Left, top, right and bottom in pixels of a map, as a box in [0, 1].

    >>> scale_box((0, 1, 2, 4), (4, 8))
    (0.0, 0.25, 0.25, 1.0)
    """
    left, top, right, bottom = pixels
    height, width = size_hw
    return left / width, top / height, right / width, bottom / height


def peak_region(
    heatmap: Float[np.ndarray, "H W"], pixel: tuple[int, int], threshold: float = DEFAULT_THRESHOLD
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (the last two outside) of the region round the peak ``pixel``.

    It is the connected region where the map is at least ``threshold``. Pixels within `LEVEL` of the
    threshold are level with it, as with a peak: a map's plateau may lie exactly there (at threshold
    1 it always does), and rounding would cut it up. Pixels touching at a corner are connected. The
    peak itself always belongs to the region, so the box is never empty; on a constant map it is the
    middle pixel.
    """
    row, column = pixel
    mask = heatmap >= threshold - LEVEL
    mask[row, column] = True
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    left, top, width, height, _ = stats[labels[row, column]].tolist()
    return left, top, left + width, top + height


def action_box(
    heatmaps: Float[np.ndarray, "P H W"],
    weights: Sequence[float],
    threshold: float = DEFAULT_THRESHOLD,
) -> tuple[Box, bool]:
    """Box of an action, and whether it is doubtful; see `box_of_regions`."""
    return box_of_regions([region_box(heatmap, threshold) for heatmap in heatmaps], weights)


def box_of_regions(regions: Sequence[Box], weights: Sequence[float]) -> tuple[Box, bool]:
    """What encloses the verb's and the object's region, or, in doubt, the action's region.

    The regions of verb, object and action are what `region_box` finds at half of the map's range;
    without a verb and an object prompt (the baselines), the action's own region is the box.

    Doubtful is a box of which nothing says that it is one place: a region covers more than
    `WIDEST` of the frame, so its map peaks nowhere, or the two regions fill less than `FULLEST`
    of the box round them, so most of it lies between. Then the action's region, found by the whole
    sentence, is the box if it is smaller. A point merged from peaks that lie apart may fall outside
    a box.

    Why this merge and threshold: an action spans the person and the thing, whose maps peak apart,
    so one threshold on a mean of the maps cuts the weaker of them off, and their product is far too
    peaked. Mean overlap (IoU) with the true box of person and object on the demo world's unseen
    pairs, by `benchmarks/box_choice.py`, at thresholds .4, .5, .6, .7:

    | map | three actors | one actor |
    |---|---|---|
    | action map | .61 .59 .51 .40 | .59 .50 .42 .32 |
    | weighted mean of the three | .61 .62 .53 .43 | .63 .53 .42 .34 |
    | product of the three | .25 .18 .12 .08 | .16 .11 .08 .05 |
    | verb region and object region | .56 .64 .67 .64 | .75 .75 .72 .67 |

    (n = 300 and 100, before there was doubt.) Half of the range is best for one actor and .03 short
    of the best for three. These figures are of a drawn world; on photographs the threshold has not
    been tuned and can be set. What doubt gains is in docs/demo_world.md.

    >>> verb, action = (0.0, 0.0, 0.2, 0.4), (0.7, 0.7, 1.0, 1.0)
    >>> box_of_regions([verb, (0.2, 0.2, 0.5, 0.4), action], (0.2, 0.2, 0.6))
    ((0.0, 0.0, 0.5, 0.4), False)
    >>> box_of_regions([verb, (0.8, 0.8, 1.0, 1.0), action], (0.2, 0.2, 0.6))
    ((0.7, 0.7, 1.0, 1.0), True)
    """
    *parts, action = regions
    used = [part for part, weight in zip(parts, weights[: len(parts)], strict=True) if weight]
    if not used:
        return enclosing_box([action]), False
    box = enclosing_box(used)
    areas = [box_area(part) for part in used]
    if max(areas) <= WIDEST and sum(areas) >= FULLEST * box_area(box):
        return box, False
    return min(box, enclosing_box([action]), key=box_area), True
