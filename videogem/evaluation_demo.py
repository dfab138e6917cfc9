"""The demo world as a dataset: scenes drawn on the spot, one item per actor."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from videogem.datasets.base import Dataset, Item
from videogem.datasets.demo_render import RenderedScenes, Renderer
from videogem.datasets.demo_scenes import SIDE, Scenes, free_scenes, unseen_pairs
from videogem.datasets.demo_sprites import load_sprites
from videogem.datasets.demo_vocabulary import Vocabulary, load_vocabulary
from videogem.errors import InputError

SPLITS = ("pairs",)
BATCH = 64


def demo_dataset(
    splits: Sequence[str] = (), num_scenes: int = 100, actors: int | None = 3, seed: int = 0
) -> Dataset:
    """Scenes of verb-object pairs that the demo model has not seen in training.

    Raises:
        InputError: an unknown split, or a number that is out of range.
    """
    for split in splits:
        if split not in SPLITS:
            raise InputError(f"The demo world's splits are {', '.join(SPLITS)}, got '{split}'.")
    if actors is not None and actors not in (1, 2, 3):
        raise InputError(f"--actors must be 1, 2 or 3, got {actors}.")
    if num_scenes < 1:
        raise InputError(f"--num-scenes must be at least 1, got {num_scenes}.")
    items = [item for split in splits or SPLITS for item in _pairs(num_scenes, actors, seed)]
    return Dataset(
        name="demo",
        root=None,
        items=tuple(items),
        num_items=len(items),
        num_boxes=len(items),
        videos=frozenset(),
        classes=Counter(item.label for item in items),
    )


def _pairs(num_scenes: int, actors: int | None, seed: int) -> list[Item]:
    generator = torch.Generator().manual_seed(seed)
    vocabulary = load_vocabulary()
    renderer = Renderer(load_sprites(), generator, num_backgrounds=128)
    allowed = unseen_pairs(vocabulary)
    items: list[Item] = []
    for start in range(0, num_scenes, BATCH):
        count = min(BATCH, num_scenes - start)
        scenes = free_scenes(count, allowed, generator, num_actors=actors, camera=False)
        rendered = renderer.render(scenes, degradation=False)
        prefix = f"pairs-{seed}-{actors or 'mixed'}"
        items.extend(_items(scenes, rendered, vocabulary, prefix, start))
    return items


def _items(
    scenes: Scenes, rendered: RenderedScenes, vocabulary: Vocabulary, prefix: str, start: int
) -> list[Item]:
    images = (rendered.images.float() * 255).round().byte().permute(0, 2, 3, 1).numpy()
    items = []
    for index in range(len(scenes)):
        image = np.ascontiguousarray(images[index])
        num_actors = int(scenes.num_actors[index])
        for actor in range(num_actors):
            verb = vocabulary.verbs[int(scenes.verbs[index, actor])].gerund
            thing = vocabulary.objects[int(scenes.objects[index, actor])]
            x1, y1, x2, y2 = (rendered.boxes[index, actor] / SIDE).clamp(0, 1).tolist()
            scene = f"{prefix}-{start + index}"
            items.append(
                Item(
                    id=f"{scene}-{actor}",
                    video=scene,
                    narration=f"{verb} {thing}",
                    label=verb,
                    boxes=((x1, y1, x2, y2),),
                    size_wh=(SIDE, SIDE),
                    image=image,
                    verb=verb,
                    object=thing,
                    group=f"{num_actors} actors",
                )
            )
    return items
