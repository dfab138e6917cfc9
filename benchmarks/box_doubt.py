"""What boxes gain by admitting doubt: overlap with the true box on the demo world, in pairs.

    python -m benchmarks.box_doubt [--seed 2] [--num-scenes 60]

A row per split: the mean overlap (IoU) without and with `videogem.method.boxes.box_of_regions`'s
doubt, their difference with its 95 % interval over scenes, how many boxes are doubtful, and the
share of points that hit where the box is doubtful and where it is not.
"""

import sys
from collections import defaultdict
from itertools import groupby
from typing import Any

import typer

from videogem.demo_world.splits import DemoItem, Split, demo_scenes
from videogem.grounding import VideoGEM, load_grounder
from videogem.method.boxes import region_box
from videogem.metrics import box_iou, difference_interval, enclosing_box, hit
from videogem.structures import Clip

SETS: tuple[tuple[Split, int], ...] = (
    ("unseen-pairs", 1),
    ("unseen-pairs", 2),
    ("unseen-pairs", 3),
    ("seen-pairs", 3),
    ("unseen-style", 1),
    ("unseen-style", 3),
    ("moving-clips", 3),
)
Row = tuple[str, float, float, bool, bool]  # scene, overlap before and now, doubtful, point hits


def measured(grounder: VideoGEM, scene: str, items: list[DemoItem]) -> list[Row]:
    """Boxes of one image, whose items share it."""
    clip = Clip.from_image(items[0].image)
    rows = []
    groundings = grounder.ground(clip, [item.narration for item in items])
    for item, grounding in zip(items, groundings, strict=True):
        now = box_iou(grounding.box, item.box)
        # A box that is not doubtful is as it was, and needs no heatmaps.
        if grounding.doubtful:
            verb, object_ = (region_box(heatmap) for heatmap in grounding.heatmaps[:2])
            before = box_iou(enclosing_box([verb, object_]), item.box)
        else:
            before = now
        rows.append((scene, before, now, grounding.doubtful, hit(grounding.point, [item.box])))
    return rows


def main(num_scenes: int = 60, seed: int = 2, model: str = "demo") -> None:
    """Print a row per split, and one of all drawn scenes."""
    grounder: Any = load_grounder(model)
    drawn: list[Row] = []
    for split, actors in SETS:
        scenes = demo_scenes(split, num_scenes=num_scenes, num_actors=actors, seed=seed)
        rows: list[Row] = []
        for scene, items in groupby(scenes, key=lambda item: item.scene):
            rows += measured(grounder, scene, list(items))
        _print(f"{split}, {actors} actors" if split != "moving-clips" else split, rows)
        if split != "moving-clips":
            drawn += rows
    _print("all drawn scenes", drawn)


def _print(name: str, rows: list[Row]) -> None:
    by_scene: dict[str, list[float]] = defaultdict(list)
    for scene, before, now, *_ in rows:
        by_scene[scene].append(now - before)
    sums = [sum(differences) for differences in by_scene.values()]
    low, high = difference_interval(sums, [len(each) for each in by_scene.values()])
    means = [sum(row[place] for row in rows) / len(rows) for place in (1, 2)]
    told = [f"{means[0]:.3f} -> {means[1]:.3f}", f"{means[1] - means[0]:+.3f}"]
    hits = []
    for doubtful in (True, False):
        points = [row[4] for row in rows if row[3] == doubtful]
        hits.append(f"{sum(points)}/{len(points)}")
    sys.stdout.write(
        f"{name:24} n {len(rows):4}  IoU {told[0]} ({told[1]}, {low:+.3f} to {high:+.3f})  "
        f"points that hit: doubtful {hits[0]}, others {hits[1]}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
