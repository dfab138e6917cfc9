"""The demo world as evaluation items: scenes drawn on the spot, and frames of the shipped clips.

| split | shows |
|---|---|
| ``unseen-pairs`` | verb-object pairs that no training scene shows, no camera, no degradation |
| ``seen-pairs`` | the same with pairs from training |
| ``unseen-style`` | unseen pairs drawn in a style the model has never seen (Fluent UI emoji) |
| ``moving-clips`` | the shipped clips, each cue at its middle, painted by another renderer |
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from videogem.demo_world.sprites import SheetName, load_sprites
from videogem.demo_world.vocabulary import DEMO_DIRECTORY, load_vocabulary
from videogem.structures import Box

Split = Literal["unseen-pairs", "seen-pairs", "unseen-style", "moving-clips"]

SPLITS: tuple[Split, ...] = ("unseen-pairs", "seen-pairs", "unseen-style", "moving-clips")
CLIPS_DIRECTORY = DEMO_DIRECTORY / "clips"

_BATCH = 32
_NUM_BACKGROUNDS = 128


@dataclass(frozen=True, eq=False)
class DemoItem:
    """One actor of a scene, told from the others by its narration. Boxes in [0, 1] of the frame.

    Items of the same ``scene`` share their image.
    """

    id: str
    scene: str
    image: UInt8[np.ndarray, "H W 3"]
    narration: str
    verb: str  # base form
    gerund: str
    object: str
    box: Box  # round person and object
    person_box: Box
    object_box: Box


def demo_scenes(
    split: Split = "unseen-pairs",
    *,
    num_scenes: int = 100,
    num_actors: int | None = 3,
    seed: int = 0,
    size_wh: tuple[int, int] | None = None,
) -> Iterator[DemoItem]:
    """Items of a split, one per actor, the same for the same arguments.

    ``num_actors`` is 1, 2, 3 or None for a mixture. Without ``size_wh`` frames are squashed to the
    demo model's 224 x 224 from various aspects, as in training. Of the clips, ``num_scenes`` cues
    are taken and the other options do not apply.
    """
    if split == "moving-clips":
        yield from _clip_items(num_scenes)
        return

    import torch

    from videogem.demo_world.render import Renderer
    from videogem.demo_world.scenes import SIDE, drawable_pairs, free_scenes, unseen_pairs

    sheet: SheetName = "fluent" if split == "unseen-style" else "sprites"
    sprites = load_sprites(sheet)
    generator = torch.Generator().manual_seed(seed)
    renderer = Renderer(sprites, generator, num_backgrounds=_NUM_BACKGROUNDS)
    vocabulary = load_vocabulary()
    unseen = unseen_pairs(vocabulary)
    allowed = drawable_pairs(sprites, ~unseen if split == "seen-pairs" else unseen)
    aspect = None if size_wh is None else size_wh[0] / size_wh[1]
    prefix = f"{split}-{seed}-{num_actors or 'mixed'}"
    for first in range(0, num_scenes, _BATCH):
        scenes = free_scenes(
            min(_BATCH, num_scenes - first),
            allowed,
            generator,
            num_actors=num_actors,
            aspect=aspect,
            camera=False,
        )
        rendered = renderer.render(scenes, degradation=False, size_wh=size_wh or (SIDE, SIDE))
        images = (rendered.images * 255).round().byte().permute(0, 2, 3, 1).numpy()
        for index in range(len(scenes)):
            image = np.ascontiguousarray(images[index])
            scene = f"{prefix}-{first + index}"
            for actor in range(int(scenes.num_actors[index])):
                verb = vocabulary.verbs[int(scenes.verbs[index, actor])]
                thing = vocabulary.objects[int(scenes.objects[index, actor])]
                box, person_box, object_box = (
                    _unit_box((boxes[index, actor] / SIDE).tolist())
                    for boxes in (rendered.boxes, rendered.person_boxes, rendered.object_boxes)
                )
                yield DemoItem(
                    id=f"{scene}-{actor}",
                    scene=scene,
                    image=image,
                    narration=f"{verb.base} the {thing}",
                    verb=verb.base,
                    gerund=verb.gerund,
                    object=thing,
                    box=box,
                    person_box=person_box,
                    object_box=object_box,
                )


def _clip_items(num_items: int) -> Iterator[DemoItem]:
    """Every cue of every clip at its middle, clips by name."""
    gerunds = {verb.base: verb.gerund for verb in load_vocabulary().verbs}
    count = 0
    for path in sorted(CLIPS_DIRECTORY.glob("*.json")):
        truth = json.loads(path.read_text())
        frames = [round((cue["start"] + cue["end"]) / 2 * truth["fps"]) for cue in truth["cues"]]
        images = read_frames(path.with_suffix(".mp4"), frames)
        width, height = truth["size"]
        for number, (cue, frame) in enumerate(zip(truth["cues"], frames, strict=True)):
            if count == num_items:
                return
            count += 1
            pair = truth["pairs"][cue["pair"]]
            box, person_box, object_box = (
                _unit_box(
                    [v / s for v, s in zip(pair[key][frame], (width, height) * 2, strict=True)]
                )
                for key in ("boxes", "person_boxes", "object_boxes")
            )
            yield DemoItem(
                id=f"{path.stem}-{number}",
                scene=f"{path.stem}-{frame}",
                image=images[frame],
                narration=cue["text"],
                verb=pair["verb"],
                gerund=gerunds[pair["verb"]],
                object=pair["object"],
                box=box,
                person_box=person_box,
                object_box=object_box,
            )


def read_frames(path: Path, wanted: list[int]) -> dict[int, UInt8[np.ndarray, "H W 3"]]:
    """Frames of a video by their number in display order."""
    import av

    with av.open(str(path)) as container:
        return {
            number: np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            for number, frame in enumerate(container.decode(video=0))
            if number in wanted
        }


def _unit_box(values: list[float]) -> Box:
    x1, y1, x2, y2 = (min(max(value, 0.0), 1.0) for value in values)
    return x1, y1, x2, y2
