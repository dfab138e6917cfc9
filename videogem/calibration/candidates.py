"""What may be chosen, and what each choice would have given for every corrected frame.

The tower runs once for each attention setting; everything after it is read off the same tokens, and
of a heatmap's peak and regions many choices follow by arithmetic.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from videogem.backbones.base import fit_clip
from videogem.grounding import VideoGEM
from videogem.method.boxes import box_of_regions, peak_region, scale_box
from videogem.method.confidence import agreement_score
from videogem.method.heatmaps import mean_point
from videogem.method.settings import MethodSettings
from videogem.method.signals import Measured, map_signals
from videogem.metrics import box_iou, hit
from videogem.structures import Box, Clip, Signals

LAYERS: tuple[Mapping[str, Any], ...] = (
    {},
    {"weights": "static"},
    {"weights": "dynamic"},
    {"weights": "none"},
    {"inverse_temperature": 8.0},
    {"inverse_temperature": 25.0},
)
"""Layer weights and temperature, the usual ones first."""

MERGES = (
    (0.2, 0.2, 0.6), (0.0, 0.0, 1.0), (0.1, 0.1, 0.8), (0.3, 0.3, 0.4), (0.4, 0.2, 0.4),
    (0.2, 0.4, 0.4), (0.1, 0.3, 0.6),
)  # fmt: skip
"""Weights of verb, object and action; without verb and object the box is the action's region."""

THRESHOLDS = (0.5, 0.3, 0.4, 0.6, 0.7)


@dataclass(frozen=True, eq=False)
class Sample:
    """A corrected frame: what is said of it, and where that was shown to be."""

    clip: Clip
    narration: str
    boxes: tuple[Box, ...]
    video: str


@dataclass(frozen=True, eq=False)
class Measurements:
    """Outcomes of all samples (M) under all choices (C); the first choice is what is in use."""

    choices: tuple[Mapping[str, Any], ...]
    hits: Bool[np.ndarray, "M C"]
    overlaps: Float[np.ndarray, "M C"]  # IoU of the box
    signals: tuple[tuple[Signals, ...], ...]  # by sample, then layers x merges
    videos: tuple[str, ...]

    def signals_of(self, choice: int) -> list[Signals]:
        """Of every sample under a choice; a box threshold changes none."""
        return [each[choice * len(each) // len(self.choices)] for each in self.signals]

    def take(self, rows: Sequence[int] | np.ndarray) -> "Measurements":
        """Some of the samples."""
        return Measurements(
            self.choices,
            self.hits[rows],
            self.overlaps[rows],
            tuple(self.signals[int(row)] for row in rows),
            tuple(self.videos[int(row)] for row in rows),
        )

    @cached_property
    def clusters(self) -> np.ndarray:
        """The number of each sample's video."""
        return np.unique(np.asarray(self.videos), return_inverse=True)[1]


def choices_of(
    settings: MethodSettings, layers: Sequence[Mapping[str, Any]] = LAYERS
) -> tuple[Mapping[str, Any], ...]:
    """All choices as changes of these settings, in the order of `Measurements`."""
    merges, thresholds = _lists(settings)
    return tuple(
        {**layer, "merge_weights": merge, "box_threshold": threshold}
        for layer, merge, threshold in product(layers, merges, thresholds)
    )


def measure(
    grounder: VideoGEM,
    samples: Iterable[Sample],
    report: Callable[[int], None] = lambda done: None,
    layers: Sequence[Mapping[str, Any]] = LAYERS,
) -> Measurements:
    """Ground every sample under every choice; ``samples`` may be lazy, one is held at a time."""
    merges, thresholds = _lists(grounder.settings)
    variants = [
        VideoGEM(grounder.backbone, replace(grounder.settings, **layer), cache_megabytes=0)
        for layer in layers
    ]
    hits: list[list[bool]] = []
    overlaps: list[list[float]] = []
    signals: list[tuple[Signals, ...]] = []
    videos: list[str] = []
    for done, sample in enumerate(samples, start=1):
        own_hits: list[bool] = []
        own_overlaps: list[float] = []
        own_signals: list[Signals] = []
        for measured in _measured(variants, sample):
            regions = _regions(measured, thresholds)
            for merge in merges:
                point, found = _merged(measured, merge)
                own_signals.append(found)
                right = hit(point, sample.boxes)
                for boxes in regions:
                    box, _ = box_of_regions(boxes, merge)
                    own_hits.append(right)
                    own_overlaps.append(max(box_iou(box, each) for each in sample.boxes))
        hits.append(own_hits)
        overlaps.append(own_overlaps)
        signals.append(tuple(own_signals))
        videos.append(sample.video)
        report(done)
    return Measurements(
        choices_of(grounder.settings, layers),
        np.array(hits, bool).reshape(len(hits), -1),
        np.array(overlaps, float).reshape(len(hits), -1),
        tuple(signals),
        tuple(videos),
    )


def _lists(settings: MethodSettings) -> tuple[Sequence[Any], Sequence[Any]]:
    """Merge weights and thresholds, each with what is in use first."""
    merges = dict.fromkeys([settings.merge_weights, *MERGES])
    thresholds = dict.fromkeys([settings.box_threshold, *THRESHOLDS])
    return list(merges), list(thresholds)


@torch.inference_mode()
def _measured(variants: Sequence[VideoGEM], sample: Sample) -> Iterator[Measured]:
    """What each variant measures; those with the same attention share the tower's pass."""
    tokens: dict[Any, Any] = {}
    clip = fit_clip(sample.clip, variants[0].num_frames)
    for variant in variants:
        backbone, attention = variant.backbone, variant.settings.attention
        if attention not in tokens:
            pixels = backbone.preprocess([clip])
            tokens[attention] = backbone.encode_frames(pixels, attention, target=clip.target)
        words = [[variant.parse(sample.narration)]]
        _, [[found]] = variant.measure_tokens([clip], tokens[attention], words)
        yield found


def _regions(measured: Measured, thresholds: Sequence[float]) -> list[list[Box]]:
    """The boxes round each prompt's peak, by threshold."""
    places = measured.places
    heatmaps = places.maps()
    size_hw = places.maps.size_hw
    return [
        [
            scale_box(peak_region(heatmap, (peak[0], peak[1]), threshold), size_hw)
            for heatmap, peak in zip(heatmaps, places.peaks, strict=True)
        ]
        for threshold in thresholds
    ]


def _merged(measured: Measured, merge: tuple[float, ...]) -> tuple[Any, Signals]:
    """The point by these weights, and what speaks for it."""
    places = measured.places
    points = places.points
    used = [(point, weight) for point, weight in zip(points, merge, strict=True) if weight]
    point = mean_point([point for point, _ in used], [weight for _, weight in used])
    maps = map_signals(places.maps.patches[None], np.array([places.spans], np.float32), merge)
    height = agreement_score(places.heights(point), merge)
    return point, replace(measured, maps=maps[0]).signals(points, point, height, merge)
