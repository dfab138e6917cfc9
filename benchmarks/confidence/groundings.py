"""Groundings of the demo world with their outcome: narrations of a frame, and of other frames."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from benchmarks.confidence.looks import LOOKS, with_look
from videogem.confidence.model import POINT_TERMS, table
from videogem.demo_world.render import Renderer
from videogem.demo_world.scenes import SIDE, drawable_pairs, free_scenes, unseen_pairs
from videogem.demo_world.splits import CLIPS_DIRECTORY, Split, demo_scenes, read_frames
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.vocabulary import load_vocabulary
from videogem.grounding import VideoGEM
from videogem.metrics import hit
from videogem.structures import Box, Clip, Signals

SECONDS_BETWEEN = 0.5  # frames of a clip
_BATCH = 32


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame (or a clip's target) with what is said of it, and the true box of each sentence."""

    name: str
    group: str  # frames of one group are alike: a scene, or a clip
    images: UInt8[np.ndarray, "T H W 3"]
    said: tuple[str, ...]
    boxes: tuple[Box, ...]
    true: tuple[str, ...]  # all that is there, said or not
    target: int = 0

    @property
    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        return self.images[self.target]

    @property
    def clip(self) -> Clip:
        count = len(self.images)
        return Clip(self.images, np.arange(count) / count, np.arange(count), self.target)

    def with_images(self, images: UInt8[np.ndarray, "T H W 3"], look: str) -> "Frame":
        """The same in another look."""
        return replace(self, name=f"{self.name}:{look}", images=np.ascontiguousarray(images))


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Signals of many groundings, and what became of them."""

    signals: tuple[Signals, ...]
    hits: Bool[np.ndarray, " M"]
    present: Bool[np.ndarray, " M"]  # the sentence is of this frame
    groups: tuple[str, ...]

    def save(self, path: Path) -> None:
        names = sorted({name for term in POINT_TERMS for name in term})
        np.savez_compressed(
            path,
            names=names,
            signals=table(self.signals, names).astype(np.float32),
            hits=self.hits,
            present=self.present,
            groups=self.groups,
        )

    @classmethod
    def load(cls, path: Path) -> "Outcomes":
        with np.load(path) as found:
            names = found["names"].tolist()
            signals = [
                Signals(**dict(zip(names, row, strict=True)))
                for row in found["signals"].astype(float).tolist()
            ]
            return cls(
                tuple(signals), found["hits"], found["present"], tuple(found["groups"].tolist())
            )


def drawn(split: Split, num_scenes: int, seed: int) -> Iterator[Frame]:
    """Scenes of one to three actors, as `demo_scenes` draws them."""
    items = demo_scenes(split, num_scenes=num_scenes, num_actors=None, seed=seed)
    for scene, found in groupby(items, key=lambda item: item.scene):
        own = list(found)
        said = tuple(each.narration for each in own)
        yield Frame(scene, scene, own[0].image[None], said, tuple(i.box for i in own), said)


def filmed() -> Iterator[Frame]:
    """Frames of the shipped clips, two a second of each cue."""
    for path in sorted(CLIPS_DIRECTORY.glob("*.json")):
        said = said_in(json.loads(path.read_text("utf-8")), SECONDS_BETWEEN)
        images = read_frames(path.with_suffix(".mp4"), list(said))
        for number, (texts, boxes) in said.items():
            name = f"{path.stem}-{number}"
            yield Frame(name, path.stem, images[number][None], texts, boxes, texts)


def said_in(
    truth: dict[str, Any], seconds: float
) -> dict[int, tuple[tuple[str, ...], tuple[Box, ...]]]:
    """Sentences and true boxes of a shipped clip's frames by their number, in its order."""
    width, height = truth["size"]
    found: dict[int, list[tuple[str, Box]]] = {}
    for cue in truth["cues"]:
        for time in np.arange(cue["start"] + 0.1, cue["end"], seconds):
            number = round(time * truth["fps"])
            box = truth["pairs"][cue["pair"]]["boxes"][min(number, truth["num_frames"] - 1)]
            if box is not None:
                a, b, c, d = box
                unit = a / width, b / height, c / width, d / height
                found.setdefault(number, []).append((cue["text"], unit))
    return {
        number: (tuple(text for text, _ in own), tuple(box for _, box in own))
        for number, own in sorted(found.items())
        if number < truth["num_frames"]
    }


def trained_looks(num_scenes: int, seed: int) -> Iterator[Frame]:
    """Scenes with the camera and the degradation of the model's training; pairs it was shown."""
    sprites, vocabulary = load_sprites(), load_vocabulary()
    generator = torch.Generator().manual_seed(seed)
    renderer = Renderer(sprites, generator, num_backgrounds=128)
    allowed = drawable_pairs(sprites, ~unseen_pairs(vocabulary))
    for first in range(0, num_scenes, _BATCH):
        scenes = free_scenes(min(_BATCH, num_scenes - first), allowed, generator)
        found = renderer.render(scenes)
        images = (found.images * 255).round().byte().permute(0, 2, 3, 1).numpy()
        for index, image in enumerate(images):
            actors = range(int(scenes.num_actors[index]))
            said = tuple(
                f"{vocabulary.verbs[int(scenes.verbs[index, a])].base} the "
                f"{vocabulary.objects[int(scenes.objects[index, a])]}"
                for a in actors
            )
            boxes = [tuple((found.boxes[index, a] / SIDE).clamp(0, 1).tolist()) for a in actors]
            name = f"trained-{seed}-{first + index}"
            yield Frame(name, name, np.ascontiguousarray(image[None]), said, tuple(boxes), said)


def strange_looks(num_scenes: int, seed: int) -> Iterator[Frame]:
    """Scenes of pairs from training, each in one of `LOOKS`."""
    rng = np.random.default_rng(seed)
    for number, frame in enumerate(drawn("seen-pairs", num_scenes, seed)):
        look = LOOKS[number % len(LOOKS)]
        yield frame.with_images(with_look(frame.image, look, rng)[None], look)


def outcomes(grounder: VideoGEM, frames: Iterable[Frame], seed: int = 0) -> Outcomes:
    """Ground each frame's own sentences, and as many of frames of other groups."""
    rng = np.random.default_rng(seed)
    found = list(frames)
    signals: list[Signals] = []
    hits: list[bool] = []
    present: list[bool] = []
    groups: list[str] = []
    for frame in found:
        absent: list[str] = []
        while len(absent) < len(frame.said):
            other = found[int(rng.integers(len(found)))]
            text = other.said[int(rng.integers(len(other.said)))]
            if other.group != frame.group and text not in frame.true:
                absent.append(text)
        groundings = grounder.ground(frame.clip, [*frame.said, *absent])
        for place, grounding in enumerate(groundings):
            own = place < len(frame.said)
            assert grounding.signals is not None
            signals.append(grounding.signals)
            present.append(own)
            hits.append(own and hit(grounding.point, [frame.boxes[place]]))
            groups.append(frame.group)
    return Outcomes(tuple(signals), np.array(hits), np.array(present), tuple(groups))
