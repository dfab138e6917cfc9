"""What a grounding needs of its heatmaps, read off for a whole batch: peaks, regions, heights.

Heatmaps are bilinear between patches, so a few numbers say all of a map: the patch similarities and
the range they have once they are upsampled. Only peaks and regions need every pixel; they are found
where the similarities are, and one copy brings all of it back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from videogem.method.boxes import box_of_regions, peak_region, scale_box
from videogem.method.heatmaps import (
    mean_point,
    merge_points,
    min_max_normalize,
    peak_pixel,
    pixel_centre,
)
from videogem.method.settings import Merge
from videogem.method.similarity import upsample
from videogem.structures import Box, Point

HAS_TRITON = find_spec("triton") is not None


@dataclass(frozen=True, eq=False)
class Maps:
    """The heatmaps of one narration, one for each prompt, told by their patches."""

    patches: Float[np.ndarray, "P h w"]
    size_hw: tuple[int, int]

    def __call__(self) -> Float[np.ndarray, "P H W"]:
        """The maps in [0, 1] at the size of the tower's input."""
        return min_max_normalize(upsample(torch.from_numpy(self.patches), self.size_hw).numpy())


@dataclass(frozen=True, eq=False)
class Places:
    """Peaks and regions of the heatmaps of a batch."""

    patches: Float[np.ndarray, "B P h w"]  # similarities
    spans: Float[np.ndarray, "B P 2"]  # lowest and highest value of the upsampled similarities
    peaks: Int[np.ndarray, "B P 2"]  # row and column, see `peak_pixel`
    regions: Int[np.ndarray, "B P 4"]  # left, top, right, bottom, see `peak_region`
    size_hw: tuple[int, int]
    # What was to be brought along of each prompt: see `signals.frame_signals`.
    brought: Float[np.ndarray, "B P n"]

    def of(self, sample: int, prompts: slice) -> "NarrationPlaces":
        """What belongs to one narration: some prompts of a sample."""
        return NarrationPlaces(
            Maps(self.patches[sample, prompts], self.size_hw),
            self.spans[sample, prompts].tolist(),
            self.peaks[sample, prompts].tolist(),
            self.regions[sample, prompts].tolist(),
        )


@dataclass(frozen=True, eq=False)
class NarrationPlaces:
    """Peaks and regions of the heatmaps of one narration, in the order of its prompts."""

    maps: Maps
    spans: list[list[float]]
    peaks: list[list[int]]
    regions: list[list[int]]

    @property
    def points(self) -> list[Point]:
        """The peak of each prompt, in [0, 1]."""
        return [pixel_centre(peak, self.maps.size_hw) for peak in self.peaks]

    def merged_point(self, weights: Sequence[float], merge: Merge) -> Point:
        """The same as `merge_points` of the heatmaps."""
        if merge != "positions":
            return merge_points(self.maps(), weights, merge)
        used = [
            (point, weight) for point, weight in zip(self.points, weights, strict=True) if weight
        ]
        return mean_point([point for point, _ in used], [weight for _, weight in used])

    def action_box(self, weights: Sequence[float]) -> tuple[Box, bool]:
        """The same as `boxes.action_box` of the heatmaps."""
        regions = [scale_box(region, self.maps.size_hw) for region in self.regions]
        return box_of_regions(regions, weights)

    def heights(self, point: Point) -> list[float]:
        """The value of each heatmap at the pixel that holds a point."""
        (height, width), (rows, columns) = self.maps.size_hw, self.maps.patches.shape[1:]
        top, bottom, down = _between(point[1], height, rows)
        left, right, across = _between(point[0], width, columns)
        around = self.maps.patches[:, [top, top, bottom, bottom], [left, right, left, right]]
        heights = []
        for corners, (lowest, highest) in zip(around.tolist(), self.spans, strict=True):
            upper = corners[0] * (1 - across) + corners[1] * across
            lower = corners[2] * (1 - across) + corners[3] * across
            height_there = upper * (1 - down) + lower * down - lowest
            heights.append(height_there / (highest - lowest) if highest > lowest else 0.0)
        return heights


def _between(place: float, size: int, cells: int) -> tuple[int, int, float]:
    """The two cells that a pixel lies between, and its share of the second."""
    pixel = min(int(place * size), size - 1)
    source = max((pixel + 0.5) * cells / size - 0.5, 0.0)
    first = min(int(source), cells - 1)
    return first, min(first + 1, cells - 1), source - first


def find_places(
    similarities: Float[Tensor, "B P h w"],
    size_hw: tuple[int, int],
    threshold: float,
    bring: Float[Tensor, "B P n"] | None = None,
) -> Places:
    """Peaks of heatmaps, and the regions round them at a threshold, from patch similarities.

    ``bring`` are further numbers of each prompt that come to the CPU with the same copy.
    """
    similarities = similarities.float()
    if bring is None:
        bring = similarities.new_empty((*similarities.shape[:2], 0))
    if has_kernel(similarities, size_hw):
        packed = find_packed(similarities, size_hw, threshold, bring)
        return unpack(packed.cpu(), (similarities.shape[2], similarities.shape[3]), size_hw)
    maps = upsample(similarities, size_hw).cpu().numpy()
    batch, prompts = maps.shape[:2]
    flat = maps.reshape(batch * prompts, *size_hw)
    spans = np.stack([flat.min(axis=(1, 2)), flat.max(axis=(1, 2))], axis=-1)
    heatmaps = min_max_normalize(flat)
    peaks = [peak_pixel(heatmap) for heatmap in heatmaps]
    regions = [
        peak_region(heatmap, pixel, threshold)
        for heatmap, pixel in zip(heatmaps, peaks, strict=True)
    ]
    return Places(
        similarities.cpu().numpy(),
        spans.reshape(batch, prompts, 2),
        np.array(peaks).reshape(batch, prompts, 2),
        np.array(regions).reshape(batch, prompts, 4),
        size_hw,
        bring.cpu().numpy(),
    )


def has_kernel(similarities: Tensor, size_hw: tuple[int, int]) -> bool:
    """Whether places are found on the device; elsewhere whole maps go to the CPU."""
    if not similarities.is_cuda or not HAS_TRITON:
        return False
    from videogem.method.cuda_places import fits

    return fits(size_hw)


def find_packed(
    similarities: Float[Tensor, "B P h w"],
    size_hw: tuple[int, int],
    threshold: float,
    bring: Float[Tensor, "B P n"] | None = None,
) -> Float[Tensor, "B P m"]:
    """All of `Places` as one tensor on the device, so that one copy brings it back."""
    from videogem.method.cuda_places import peaks_and_regions

    found = peaks_and_regions(similarities.flatten(0, 1), size_hw, threshold)
    parts = [found.unflatten(0, similarities.shape[:2]), similarities.flatten(2)]
    return torch.cat(parts if bring is None else [*parts, bring.float()], dim=2)


def unpack(
    packed: Float[Tensor, "B P m"], grid_hw: tuple[int, int], size_hw: tuple[int, int]
) -> Places:
    """What `find_packed` put together, on the CPU."""
    found = packed.numpy()
    whole = found[..., 2:8].astype(np.int64)
    end = 8 + math.prod(grid_hw)
    patches = found[..., 8:end].reshape(*found.shape[:2], *grid_hw)
    spans, peaks, regions = found[..., :2], whole[..., :2], whole[..., 2:]
    return Places(patches, spans, peaks, regions, size_hw, found[..., end:])
