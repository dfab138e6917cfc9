"""Groundings of moving scenes, for the fit of the video model: clips, and stills among them.

A sentence names what its actor is shown doing (by its emoji) or the motion, as in the captions of
the model's training. Every third clip shows its target frame repeated, as pictures of a project
reach a video model; there only what a picture shows is asked for.
"""

import json
from collections.abc import Iterator
from itertools import chain

import numpy as np
import torch

from benchmarks.confidence.groundings import SECONDS_BETWEEN, Frame, said_in
from benchmarks.confidence.looks import LOOKS, with_look
from videogem.demo_world.motions import NUM_FRAMES
from videogem.demo_world.render import Renderer
from videogem.demo_world.scenes import SIDE, drawable_pairs, unseen_pairs
from videogem.demo_world.splits import CLIPS_DIRECTORY, read_frames
from videogem.demo_world.sprites import SheetName, load_sprites
from videogem.demo_world.video_render import render_videos
from videogem.demo_world.video_scenes import (
    VideoScenes,
    motion_vocabulary,
    moving_scenes,
    unseen_motions,
)
from videogem.demo_world.vocabulary import load_vocabulary

TARGET = NUM_FRAMES // 2
STILL_EVERY = 3
STEP = 0.25  # seconds between the frames of a window, as evaluation takes them
_BATCH = 8


def moving(
    num_scenes: int,
    seed: int,
    *,
    seen: bool,
    sheet: SheetName = "sprites",
    degradation: bool = False,
) -> Iterator[Frame]:
    """Clips of one to three actors, of pairs from training or of others."""
    vocabulary = load_vocabulary()
    sprites = load_sprites(sheet)
    generator = torch.Generator().manual_seed(seed)
    renderer = Renderer(sprites, generator, num_backgrounds=128)
    verbs, motions = unseen_pairs(vocabulary), unseen_motions(vocabulary)
    allowed = drawable_pairs(sprites, ~verbs if seen else verbs), ~motions if seen else motions
    for first in range(0, num_scenes, _BATCH):
        count = min(_BATCH, num_scenes - first)
        scenes = moving_scenes(count, *allowed, generator, camera=degradation)
        rendered = render_videos(renderer, scenes, degradation=degradation)
        videos = (rendered.videos * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()
        for index in range(count):
            number = first + index
            name = f"moving-{sheet}-{seed}-{number}"
            shown, motion = _sentences(scenes, index)
            is_still = number % STILL_EVERY == STILL_EVERY - 1
            said = tuple(
                shown[actor] if is_still or (number + actor) % 2 else motion[actor]
                for actor in range(len(shown))
            )
            boxes = [
                tuple((box / SIDE).clamp(0, 1).tolist())
                for box in rendered.boxes[index, TARGET, : len(said)]
            ]
            frames = videos[index]
            if is_still:
                frames = np.repeat(frames[TARGET : TARGET + 1], NUM_FRAMES, axis=0)
            yield Frame(
                name,
                name,
                np.ascontiguousarray(frames),
                said,
                tuple(boxes),
                (*shown, *motion),
                TARGET,
            )


def strange_clips(num_scenes: int, seed: int) -> Iterator[Frame]:
    """Clips of pairs from training, each in one of `LOOKS` throughout."""
    for number, frame in enumerate(moving(num_scenes, seed, seen=True)):
        look = LOOKS[number % len(LOOKS)]
        images = [
            # The same draws for every frame, so that a clip keeps its hue or size.
            with_look(image, look, np.random.default_rng([seed, number]))
            for image in frame.images
        ]
        yield frame.with_images(np.stack(images), look)


def filmed_windows() -> Iterator[Frame]:
    """Windows of the shipped clips, two a second of each cue; their ends are repeated."""
    for path in sorted(CLIPS_DIRECTORY.glob("*.json")):
        truth = json.loads(path.read_text("utf-8"))
        said = said_in(truth, SECONDS_BETWEEN)
        last = truth["num_frames"] - 1
        steps = np.round((np.arange(NUM_FRAMES) - TARGET) * STEP * truth["fps"]).astype(int)
        windows = {number: np.clip(number + steps, 0, last).tolist() for number in said}
        images = read_frames(
            path.with_suffix(".mp4"), sorted(set(chain.from_iterable(windows.values())))
        )
        for number, (texts, boxes) in said.items():
            frames = np.stack([images[each] for each in windows[number]])
            name = f"{path.stem}-{number}"
            yield Frame(name, path.stem, frames, texts, boxes, texts, TARGET)


def _sentences(scenes: VideoScenes, index: int) -> tuple[list[str], list[str]]:
    """What each actor is shown doing, and how it moves."""
    vocabulary = motion_vocabulary(load_vocabulary())
    first = len(load_vocabulary().verbs)
    found: tuple[list[str], list[str]] = ([], [])
    for own, each in zip(found, (scenes.still, scenes.with_motion_verbs(first)), strict=True):
        for actor in range(int(each.num_actors[index])):
            verb = vocabulary.verbs[int(each.verbs[index, actor])]
            thing = vocabulary.objects[int(each.objects[index, actor])]
            own.append(f"{verb.base} the {thing}")
    return found
