"""What bf16 changes: `python -m benchmarks.half_precision [--scenes 400]`, on a GPU.

Points of the demo model in two parts of the demo benchmark, in bf16 as written and compiled,
against fp32 on the same device: how many move by more than a patch, and what that does to hits.
"""

import math
from itertools import groupby
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.gpu import write
from videogem.demo_world.splits import DemoItem, Split, demo_scenes
from videogem.evaluation.compare import sign_flip_p_value
from videogem.grounding import VideoGEM, load_grounder
from videogem.metrics import hit
from videogem.narration.prompts import Words
from videogem.structures import Clip, Point

PARTS: tuple[Split, ...] = ("unseen-pairs", "unseen-style")
BATCH = 50


@torch.inference_mode()
def points_of(grounder: VideoGEM, items: list[DemoItem]) -> list[Point]:
    """The action's point of each item, in batches of scenes."""
    scenes = [list(members) for _, members in groupby(items, key=lambda item: item.scene)]
    points: list[Point] = []
    for start in range(0, len(scenes), BATCH):
        batch = scenes[start : start + BATCH]
        clips = [Clip.from_image(members[0].image) for members in batch]
        texts = [[f"{item.gerund} {item.object}" for item in members] for members in batch]
        words = [
            [Words((item.gerund,), (item.object,), text) for item, text in zip(*pair, strict=True)]
            for pair in zip(batch, texts, strict=True)
        ]
        target = clips[0].target
        tokens = grounder._encoder.encode(clips, target)
        found = grounder.ground_tokens(clips, tokens, texts, words)
        points += [one.point for own in found for one in own]
    return points


def describe(exact: list[Point], found: list[Point], items: list[DemoItem], grid: int) -> str:
    """Moves in patches, accuracies, and the sign test of what was lost and won."""
    moves = np.array([math.dist(*pair) for pair in zip(exact, found, strict=True)]) * grid
    before, after = (
        np.array([hit(point, [item.box]) for point, item in zip(points, items, strict=True)], int)
        for points in (exact, found)
    )
    changes = (after - before).tolist()
    return (
        f"{np.mean(moves > 1):.2%} of {len(items)} points moved by more than a patch, mean "
        f"{moves.mean():.3f} patches; accuracy {after.mean():.4f} (fp32 {before.mean():.4f}), "
        f"lost {changes.count(-1)}, won {changes.count(1)}, p = {sign_flip_p_value(changes):.2f}"
    )


def main(
    scenes: Annotated[int, typer.Option(help="Of each part, three actors each.")] = 400,
    device: Annotated[str, typer.Option(help="cuda, or cpu (slow).")] = "cuda",
) -> None:
    """Print both rows."""
    items = [item for part in PARTS for item in demo_scenes(part, num_scenes=scenes)]
    exact = load_grounder(device=device)
    grid = exact.backbone.image_size // exact.backbone.patch_size  # type: ignore[attr-defined]
    points = points_of(exact, items)
    half = load_grounder(device=device, dtype="bf16")
    half._batch_size = BATCH
    write("bf16: " + describe(points, points_of(half, items), items, grid))
    if (compiling := half.compile_soon()) is not None:
        compiling.join()
    write("bf16, compiled: " + describe(points, points_of(half, items), items, grid))


if __name__ == "__main__":
    typer.run(main)
