"""Moving scenes of the demo world: who stands where at what time, under a panning camera.

Lengths are heights of the frame, times seconds. A scene is drawn at random and thrown away if its
actors ever touch, or if one is cut off by the frame while it is being narrated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from videogem.demo_world.painter import Placement, placement_box, visible_outline
from videogem.demo_world.sprites import Sprites

PixelBox = tuple[float, float, float, float]

_MAX_TRIES = 20_000
_CHECK_STEP = 0.2  # seconds between the moments at which a scene is checked
_MIN_GAP = 0.015


@dataclass(frozen=True)
class Sway:
    """A smooth movement to and fro: ``size * sin(2 pi (t / period) + phase)``."""

    size: float
    period: float
    phase: float

    def at(self, time: float) -> float:
        return self.size * math.sin(2 * math.pi * time / self.period + self.phase)


@dataclass(frozen=True)
class Actor:
    """A person and the object it acts on, in the coordinates of the world the camera pans over."""

    person_sprite: int
    object_sprite: int
    x: float
    y: float
    person_size: float
    object_size: float
    angle: float  # of the object as seen from the person, in radians
    mirrored: bool
    walk: Sway
    bob: Sway
    tilt: Sway
    swing: Sway  # of the object round the person
    spin: Sway  # of the object about itself

    def placements(self, time: float) -> tuple[Placement, Placement]:
        """Person and object at a time."""
        apart = 0.43 * (self.person_size + self.object_size)
        angle = self.angle + self.swing.at(time)
        x, y = self.x + self.walk.at(time), self.y + self.bob.at(time)
        dx, dy = math.cos(angle) * apart / 2, math.sin(angle) * apart / 2
        person = Placement(
            self.person_sprite, x - dx, y - dy, self.person_size, self.tilt.at(time), self.mirrored
        )
        thing = Placement(self.object_sprite, x + dx, y + dy, self.object_size, self.spin.at(time))
        return person, thing


@dataclass(frozen=True)
class MovingScene:
    """Actors, things nobody acts on, and a camera that pans ``pan`` frame heights to the right."""

    size_wh: tuple[int, int]
    duration: float
    pan: float
    actors: tuple[Actor, ...]
    lone: tuple[Placement, ...]  # in world coordinates

    def camera_x(self, time: float) -> float:
        """Left edge of the frame: starts and ends gently."""
        share = min(max(time / self.duration, 0.0), 1.0)
        return self.pan * share * share * (3 - 2 * share)

    def on_frame(self, placement: Placement, time: float) -> Placement:
        """World -> pixels of the frame at a time."""
        height = self.size_wh[1]
        return Placement(
            placement.sprite,
            (placement.x - self.camera_x(time)) * height,
            placement.y * height,
            placement.size * height,
            placement.turn,
            placement.mirrored,
        )

    def placements(self, time: float) -> list[Placement]:
        """Everything to be painted at a time, back to front."""
        moving = [placement for actor in self.actors for placement in actor.placements(time)]
        return [self.on_frame(placement, time) for placement in (*self.lone, *moving)]


class Outlines:
    """Boxes of placed sprites; outlines are worked out once per sprite."""

    def __init__(self, sprites: Sprites) -> None:
        self._sprites = sprites
        self._outlines: dict[int, np.ndarray] = {}

    def box(self, placement: Placement) -> PixelBox:
        if placement.sprite not in self._outlines:
            self._outlines[placement.sprite] = visible_outline(
                self._sprites.images[placement.sprite]
            )
        side = self._sprites.images.shape[1]
        return placement_box(self._outlines[placement.sprite], placement, side)


def union(first: PixelBox, second: PixelBox) -> PixelBox:
    """The smallest box round both."""
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


def visible_part(box: PixelBox, size_wh: tuple[int, int]) -> tuple[PixelBox | None, float]:
    """The part of a box inside the frame, and its share of the whole box's area."""
    x1, y1, x2, y2 = box
    cut = max(0.0, x1), max(0.0, y1), min(float(size_wh[0]), x2), min(float(size_wh[1]), y2)
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        return None, 0.0
    return cut, (cut[2] - cut[0]) * (cut[3] - cut[1]) / ((x2 - x1) * (y2 - y1))


def stage_scene(
    cast: Sequence[tuple[int, int]],
    lone_sprites: Sequence[int],
    cues: Sequence[tuple[float, float, int]],
    sprites: Sprites,
    rng: np.random.Generator,
    *,
    size_wh: tuple[int, int],
    duration: float,
    pan: float,
) -> MovingScene:
    """Draw scenes until one is clean.

    ``cast`` are person and object sprite of each actor, ``cues`` start, end and actor.

    Raises:
        RuntimeError: no draw was clean; there is too much in the frame.
    """
    outlines = Outlines(sprites)
    for _ in range(_MAX_TRIES):
        slots = rng.permutation(len(cast))
        actors = tuple(
            _draw_actor(person, thing, int(slot), len(cast), size_wh, pan, rng)
            for slot, (person, thing) in zip(slots, cast, strict=True)
        )
        lone = tuple(_draw_lone(sprite, size_wh, pan, rng) for sprite in lone_sprites)
        scene = MovingScene(size_wh, duration, pan, actors, lone)
        if _is_clean(scene, cues, outlines):
            return scene
    raise RuntimeError(f"no clean scene with {len(cast)} actors in {_MAX_TRIES} draws")


def _draw_actor(
    person: int,
    thing: int,
    slot: int,
    num_actors: int,
    size_wh: tuple[int, int],
    pan: float,
    rng: np.random.Generator,
) -> Actor:
    """An actor somewhere in its slot; slots divide the longer side of the world."""
    aspect = size_wh[0] / size_wh[1]
    world_wh = aspect + pan, 1.0
    long = 0 if world_wh[0] >= 1 else 1
    length = world_wh[long] / num_actors
    largest = min(1.0, aspect, 1.35 * length)
    person_size = largest * rng.uniform(0.3, 0.5 if num_actors < 3 else 0.45)
    object_size = person_size * rng.uniform(0.5, 0.8)
    reach = (person_size + object_size) / 2
    sideways = rng.choice([0.0, math.pi]) + rng.uniform(-0.9, 0.9)
    period = rng.uniform(2.5, 4.5)
    across = world_wh[1 - long]
    along = (slot + rng.uniform(0.35, 0.65)) * length
    beside = rng.uniform(min(across / 2, reach), max(across / 2, across - reach))
    return Actor(
        person,
        thing,
        x=along if long == 0 else beside,
        y=beside if long == 0 else along,
        person_size=person_size,
        object_size=object_size,
        angle=sideways if rng.random() < 0.8 else rng.uniform(0, 2 * math.pi),
        mirrored=bool(rng.random() < 0.5),
        walk=_sway(rng, 0.02, 0.09, 2 * period),
        bob=_sway(rng, 0.004, 0.02, period / 3),
        tilt=_sway(rng, 0.03, 0.13, period / 2),
        swing=_sway(rng, 0.1, 0.3, period / 1.5),
        spin=_sway(rng, 0.05, 0.25, period / 2),
    )


def _sway(rng: np.random.Generator, low: float, high: float, period: float) -> Sway:
    return Sway(rng.uniform(low, high), period * rng.uniform(0.8, 1.25), rng.uniform(0, 6.28))


def _draw_lone(
    sprite: int, size_wh: tuple[int, int], pan: float, rng: np.random.Generator
) -> Placement:
    aspect = size_wh[0] / size_wh[1]
    size = min(1.0, aspect) * rng.uniform(0.12, 0.2)
    x, y = rng.uniform(size / 2, aspect + pan - size / 2), rng.uniform(size / 2, 1 - size / 2)
    return Placement(sprite, x, y, size, rng.uniform(-0.2, 0.2), bool(rng.random() < 0.5))


def _is_clean(
    scene: MovingScene, cues: Sequence[tuple[float, float, int]], outlines: Outlines
) -> bool:
    width, height = scene.size_wh
    gap = _MIN_GAP * height
    num_steps = math.ceil(scene.duration / _CHECK_STEP)
    for time in (min(step * _CHECK_STEP, scene.duration) for step in range(num_steps + 1)):
        pairs = []
        for actor in scene.actors:
            person, thing = (scene.on_frame(p, time) for p in actor.placements(time))
            pairs.append(union(outlines.box(person), outlines.box(thing)))
        others = [outlines.box(scene.on_frame(p, time)) for p in scene.lone]
        boxes = pairs + others
        if any(_touch(a, b, gap) for a, b in combinations(boxes, 2)):
            return False
        for start, end, number in cues:
            x1, y1, x2, y2 = pairs[number]
            narrated = start <= time <= end
            if narrated and not (x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height):
                return False
    return True


def _touch(first: PixelBox, second: PixelBox, gap: float) -> bool:
    return (
        first[0] < second[2] + gap
        and second[0] < first[2] + gap
        and first[1] < second[3] + gap
        and second[1] < first[3] + gap
    )
