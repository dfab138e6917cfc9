"""The demo world as datasets: one per split, one item per actor."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

from videogem.datasets.base import Dataset, Item
from videogem.demo_world.splits import CLIPS_DIRECTORY, SPLITS, DemoItem, Split, demo_scenes
from videogem.errors import InputError

DEFAULT_SPLIT: Split = "unseen-pairs"


def demo_dataset(
    split: str = DEFAULT_SPLIT, *, num_scenes: int = 100, actors: int | None = 3, seed: int = 0
) -> Dataset:
    """One split of the demo world, named ``demo`` or ``demo-SPLIT``; see `datasets.demo`.

    Raises:
        InputError: an unknown split, or a number that is out of range.
    """
    chosen = next((known for known in SPLITS if known == split), None)
    if chosen is None:
        raise InputError(f"The demo world's splits are {', '.join(SPLITS)}, got '{split}'.")
    if actors not in (None, 1, 2, 3):
        raise InputError(f"--actors must be 1, 2 or 3, got {actors}.")
    if num_scenes < 1:
        raise InputError(f"--num-scenes must be at least 1, got {num_scenes}.")
    found = demo_scenes(chosen, num_scenes=num_scenes, num_actors=actors, seed=seed)
    make = _clip_item if chosen == "moving-clips" else _scene_item
    items = tuple(make(item) for item in found)
    return Dataset(
        name="demo" if chosen == DEFAULT_SPLIT else f"demo-{chosen}",
        root=None,
        items=items,
        num_items=len(items),
        num_boxes=len(items),
        videos=frozenset(item.video for item in items if item.video_path is not None),
        classes=Counter(item.label for item in items),
    )


def _scene_item(found: DemoItem) -> Item:
    height, width = found.image.shape[:2]
    return Item(
        id=found.id,
        video=found.scene,
        narration=f"{found.gerund} {found.object}",  # as the paper's templates read best
        label=found.verb,
        boxes=(found.box,),
        size_wh=(width, height),
        image=found.image,
        verb=found.gerund,
        object=found.object,
    )


def _clip_item(found: DemoItem) -> Item:
    """A cue of a clip, with its narration as written, so that the words must be found in it."""
    height, width = found.image.shape[:2]
    name, _, frame = found.scene.rpartition("-")
    path = CLIPS_DIRECTORY / f"{name}.mp4"
    return Item(
        id=found.id,
        video=name,
        narration=found.narration,
        label=found.verb,
        boxes=(found.box,),
        size_wh=(width, height),
        style="narration",
        image=found.image,
        video_path=path,
        time=(int(frame) + 0.5) / _fps(path),
    )


@cache
def _fps(path: Path) -> float:
    truth: dict[str, float] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    return float(truth["fps"])
