"""Which map and threshold give the best box? Mean overlap with the true box on the demo world.

    python -m benchmarks.box_choice [--num-scenes 100]

Prints a row per way of making a box from the three heatmaps and a column per threshold. The choice
in `videogem.method.boxes.action_box` follows these figures.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
import typer

from videogem.demo_world.splits import demo_scenes
from videogem.grounding import load_grounder
from videogem.method.boxes import region_box
from videogem.method.heatmaps import merge_maps, min_max_normalize
from videogem.metrics import box_iou, enclosing_box
from videogem.structures import Box, Clip

WEIGHTS = (0.2, 0.2, 0.6)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)


def _region_of(merged: np.ndarray, threshold: float) -> Box:
    return region_box(min_max_normalize(merged[None])[0], threshold)


WAYS: dict[str, Callable[[np.ndarray, float], Box]] = {
    "action map": lambda maps, t: region_box(maps[2], t),
    "weighted mean map": lambda maps, t: _region_of(merge_maps(maps, WEIGHTS, "maps"), t),
    "product map": lambda maps, t: _region_of(merge_maps(maps, WEIGHTS, "product"), t),
    "maximum of verb and object": lambda maps, t: _region_of(maps[:2].max(axis=0), t),
    "verb region and object region": lambda maps, t: enclosing_box(
        [region_box(maps[0], t), region_box(maps[1], t)]
    ),
    "all three regions": lambda maps, t: enclosing_box([region_box(m, t) for m in maps]),
}


def main(num_scenes: int = 100, actors: int = 3, model: str = "demo") -> None:
    """Print mean overlaps."""
    grounder = load_grounder(model)
    overlaps: dict[tuple[str, float], list[float]] = {}
    for item in demo_scenes(num_scenes=num_scenes, num_actors=actors):
        maps = grounder.ground(Clip.from_image(item.image), [item.narration])[0].heatmaps
        for name, way in WAYS.items():
            for threshold in THRESHOLDS:
                overlap = box_iou(way(maps, threshold), item.box)
                overlaps.setdefault((name, threshold), []).append(overlap)
    _print(overlaps)


def _print(overlaps: dict[tuple[str, float], Sequence[float]]) -> None:
    count = len(next(iter(overlaps.values())))
    sys.stdout.write(f"mean box IoU, n = {count}; thresholds {THRESHOLDS}\n")
    for name in WAYS:
        row = "  ".join(f"{np.mean(overlaps[name, threshold]):.3f}" for threshold in THRESHOLDS)
        sys.stdout.write(f"{name:32} {row}\n")


if __name__ == "__main__":
    typer.run(main)
