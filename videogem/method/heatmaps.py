"""Heatmaps: to one scale, to their peaks, and from several to one."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from videogem.method.settings import Merge
from videogem.structures import Point

LEVEL = 1e-4  # share of a map's range; rounding moves a map by some 3e-7 of it


def min_max_normalize(maps: Float[np.ndarray, "P H W"]) -> Float[np.ndarray, "P H W"]:
    """Scale every prompt's map to [0, 1], after upsampling.

    A constant map carries no location, so it becomes 0 rather than NaN.

    Source: GEM, Bousselham et al., CVPR 2024; authors' code.
    """
    low = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    return (maps - low) / np.where(span > 0, span, 1)


def peak(heatmap: Float[np.ndarray, "H W"]) -> Point:
    """Centre of the `peak_pixel`, in [0, 1].

    >>> peak(np.array([[0.0, 0.0], [1.0, 0.0]]))
    (0.25, 0.75)
    """
    return pixel_centre(peak_pixel(heatmap), heatmap.shape)


def pixel_centre(pixel: Sequence[int], size_hw: tuple[int, ...]) -> Point:
    """Centre of a pixel (row, column) of a map, in [0, 1]."""
    row, column = pixel
    height, width = size_hw
    return (column + 0.5) / width, (row + 0.5) / height


def peak_pixel(heatmap: Float[np.ndarray, "H W"]) -> tuple[int, int]:
    """Row and column of the highest place: the middle pixel of its plateau.

    Pixels within `LEVEL` of the maximum are level with it. Of their connected plateaus the one
    that comes first in reading order counts, and of its pixels the one nearest to its centre.

    The authors' code takes the first highest pixel, and so do we where one leads by more than
    `LEVEL`. Elsewhere rounding would choose, which differs from processor to processor and from
    batch to batch: half a patch along the border is flat after upsampling, and maps can be
    symmetric. As it is, a map that rounding changes keeps its peak to the pixel, unless it holds a
    value as near to the edge of the plateau as the change is large.

    >>> peak_pixel(np.array([[0.0, 1.0, 1.0, 1.0, 0.0]]))
    (0, 2)
    """
    top = heatmap.max()
    level = heatmap >= top - LEVEL * (top - heatmap.min())
    _, plateaus = cv2.connectedComponents(level.astype(np.uint8), connectivity=8)
    first = plateaus.flat[level.argmax()]
    pixels = np.argwhere(plateaus == first)
    distances = np.square(pixels - pixels.mean(axis=0)).sum(axis=1)
    row, column = pixels[distances.argmin()].tolist()
    return row, column


def merge_points(
    heatmaps: Float[np.ndarray, "P H W"], weights: Sequence[float], merge: Merge = "positions"
) -> Point:
    """One point for the action from the heatmaps of its prompts (Section 3.4).

    ``positions`` is the weighted mean of the peaks, ``maps`` the peak of the weighted mean map,
    ``product`` the peak of the product, each map to the power of its weight over the smallest.
    Prompts of weight 0 do not take part.
    """
    used = [(heatmap, weight) for heatmap, weight in zip(heatmaps, weights, strict=True) if weight]
    if merge == "positions":
        return mean_point([peak(heatmap) for heatmap, _ in used], [weight for _, weight in used])
    return peak(merge_maps(heatmaps, weights, merge))


def mean_point(points: Sequence[Point], weights: Sequence[float]) -> Point:
    """The weighted mean of points."""
    total = sum(weights)
    x, y = (
        sum(point[axis] * weight for point, weight in zip(points, weights, strict=True)) / total
        for axis in (0, 1)
    )
    return float(x), float(y)


def merge_maps(
    heatmaps: Float[np.ndarray, "P H W"], weights: Sequence[float], merge: Merge = "maps"
) -> Float[np.ndarray, "H W"]:
    """One map for the action: the weighted mean, or the product; see `merge_points`."""
    used = [(heatmap, weight) for heatmap, weight in zip(heatmaps, weights, strict=True) if weight]
    if merge == "product":
        smallest = min(weight for _, weight in used)
        return np.prod([heatmap ** (weight / smallest) for heatmap, weight in used], axis=0)
    return np.average([heatmap for heatmap, _ in used], axis=0, weights=[w for _, w in used])
