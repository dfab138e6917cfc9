"""Moving scenes of the demo world, where motion carries the verb.

Every actor has an activity its emoji shows (as in the still world) and a motion. In part of the
scenes two actors act on the same object, so that only the motion tells them apart.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from videogem.demo_world.motions import MOTIONS, NUM_FRAMES, sample_tracks
from videogem.demo_world.scenes import MAX_ACTORS, SIDE, UNSEEN_SHARE, Scenes, free_places
from videogem.demo_world.vocabulary import Vocabulary

_UNSEEN_SEED = 8
_NUM_LONE = 1
_MAX_CAMERA = 22.0  # pixels the camera may pan over the clip


@dataclass(frozen=True, eq=False)
class VideoScenes:
    """Scenes and how they move. ``motions`` is -1 where a slot is empty.

    ``still`` holds words and the resting places, as for a picture; ``people`` and ``held`` are
    centre and side in every frame, the camera's pan (``camera``, pixels) not yet taken off;
    ``held_turn`` adds to the object's turn.
    """

    still: Scenes
    motions: Int[Tensor, "B A"]
    people: Float[Tensor, "B T A 3"]
    held: Float[Tensor, "B T A 3"]
    held_turn: Float[Tensor, "B T A"]
    camera: Float[Tensor, "B T 2"]

    def __len__(self) -> int:
        return len(self.still)

    def with_motion_verbs(self, first_motion: int) -> Scenes:
        """The scenes' words with motions, numbered from ``first_motion`` on, for verbs."""
        verbs = (self.motions + first_motion).where(self.motions >= 0, -1)
        return replace(self.still, verbs=verbs)


def motion_vocabulary(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary with the motions after its verbs."""
    return replace(vocabulary, verbs=vocabulary.verbs + MOTIONS)


def unseen_motions(vocabulary: Vocabulary) -> Bool[Tensor, "motions objects"]:
    """True for the motion-object pairs that no training clip shows."""
    generator = torch.Generator().manual_seed(_UNSEEN_SEED)
    draws = torch.rand(len(MOTIONS), len(vocabulary.objects), generator=generator)
    return draws < UNSEEN_SHARE


def moving_scenes(
    batch: int,
    allowed_verbs: Bool[Tensor, "verbs objects"],
    allowed_motions: Bool[Tensor, "motions objects"],
    generator: torch.Generator,
    *,
    num_actors: int | None = None,
    max_actors: int = MAX_ACTORS,
    twin_share: float = 0.5,
    objects: Int[Tensor, " choices"] | None = None,
    camera: bool = True,
    num_frames: int = NUM_FRAMES,
) -> VideoScenes:
    """Draw moving scenes.

    In ``twin_share`` of them all actors act on the same object, each in another way. ``objects``
    limits the choice of things acted on: the fewer there are in a batch, the more the motions must
    tell its clips apart.
    """
    device = allowed_verbs.device
    uniform = partial(torch.rand, generator=generator, device=device)
    shape = (batch, MAX_ACTORS)
    things = _draw_objects(shape, allowed_verbs, allowed_motions, generator, objects)
    is_twin = uniform(batch, 1) < twin_share
    things = torch.where(is_twin, things[:, :1], things)
    verbs = _draw_for(things, allowed_verbs, generator)
    motions = _draw_different(things, allowed_motions, generator)

    draw = uniform(batch)
    count = 1 + (draw > 0.3).long() + (draw > 0.85).long()
    count = count.clamp(max=max_actors)
    if num_actors is not None:
        count = torch.full_like(count, num_actors)
    active = torch.arange(MAX_ACTORS, device=device) < count[:, None]
    motions = motions.where(active, -1)

    smallest = draw.new_tensor([0.24, 0.2, 0.18])[count - 1][:, None]
    largest = draw.new_tensor([0.42, 0.32, 0.26])[count - 1][:, None]
    person_side = SIDE * (smallest + (largest - smallest) * uniform(shape))
    object_side = (person_side * (0.5 + 0.4 * uniform(shape))).clamp(min=26)
    angle = 2 * math.pi * uniform(shape)
    distance = 0.43 * (person_side + object_side) * (1.0 + 0.2 * uniform(shape))
    reach = 0.75 * distance + person_side / 3

    lone_side = SIDE * (0.12 + 0.12 * uniform(batch, _NUM_LONE))
    lone_shown = uniform(batch, _NUM_LONE) < 0.6
    reaches = torch.cat([reach, lone_side / 2], dim=1)
    shown = torch.cat([active, lone_shown], dim=1)
    x, y = free_places(reaches, reaches, shown, draw.new_full((batch,), SIDE), generator)
    lone = _draw_objects((batch, _NUM_LONE), allowed_verbs, allowed_motions, generator, None)

    tracks = sample_tracks(motions, generator, num_frames=num_frames)
    along = torch.stack([angle.cos(), angle.sin()], dim=-1)[:, :, None]  # B A 1 2
    # Raised and dropped things go up and down whatever the angle; others across the pair's line.
    vertical = (motions == _index("raise")) | (motions == _index("drop"))
    down = along.new_tensor([0.0, 1.0]).expand_as(along)
    across = torch.where(
        vertical[..., None, None], down, torch.stack([-along[..., 1], along[..., 0]], dim=-1)
    )
    centre = torch.stack([x, y], dim=-1)[:, :MAX_ACTORS, None]  # B A 1 2
    unit = distance[:, :, None, None]

    def place(track: Tensor, side: Tensor) -> Tensor:
        offset = (track[..., :1] - 0.5) * along + track[..., 1:] * across
        return torch.cat([centre + offset * unit, side[..., None]], dim=-1).transpose(1, 2)

    people = place(tracks.person, person_side[:, :, None].expand(-1, -1, num_frames))
    held = place(tracks.object, object_side[:, :, None] * tracks.size)
    pan = (2 * uniform(batch, 1, 2) - 1) * _MAX_CAMERA * (uniform(batch, 1, 1) < 0.7)
    if not camera:
        pan = torch.zeros_like(pan)
    steps = torch.linspace(-0.5, 0.5, num_frames, device=device).view(1, -1, 1)
    target = num_frames // 2
    still = Scenes(
        verbs=verbs.where(active, -1),
        objects=things.where(active, -1),
        lone_objects=lone.where(lone_shown, -1),
        people=people[:, target],
        held=held[:, target],
        lone_places=torch.stack([x[:, MAX_ACTORS:], y[:, MAX_ACTORS:], lone_side], dim=-1),
        aspect=draw.new_ones(batch),
        rotation=0.2,
        is_plain=False,
    )
    return VideoScenes(still, motions, people, held, tracks.turn.transpose(1, 2), pan * steps)


def _index(base: str) -> int:
    return [verb.base for verb in MOTIONS].index(base)


def _draw_objects(
    shape: tuple[int, int],
    allowed_verbs: Bool[Tensor, "verbs objects"],
    allowed_motions: Bool[Tensor, "motions objects"],
    generator: torch.Generator,
    objects: Int[Tensor, " choices"] | None,
) -> Int[Tensor, "B n"]:
    """Objects that have enough allowed verbs and motions for every actor of a scene."""
    device = allowed_verbs.device
    enough = allowed_verbs.any(dim=0) & (allowed_motions.sum(dim=0) >= 2)
    choices = enough.nonzero().squeeze(1)
    if objects is not None:
        choices = objects[enough[objects]]
    return choices[torch.randint(len(choices), shape, generator=generator, device=device)]


def _draw_for(
    things: Int[Tensor, "B A"], allowed: Bool[Tensor, "verbs objects"], generator: torch.Generator
) -> Int[Tensor, "B A"]:
    """A verb for every object, uniform over the allowed ones."""
    weights = allowed.T.float()[things].flatten(0, 1)
    return torch.multinomial(weights, 1, generator=generator).view_as(things)


def _draw_different(
    things: Int[Tensor, "B A"], allowed: Bool[Tensor, "motions objects"], generator: torch.Generator
) -> Int[Tensor, "B A"]:
    """A motion for every object; no two actors of a scene move alike where that can be had."""
    weights = allowed.T.float()[things]  # B A motions
    chosen: list[Tensor] = []
    for actor in range(things.shape[1]):
        here = weights[:, actor].clone()
        for other in chosen:
            here.scatter_(1, other, 1e-6)
        chosen.append(torch.multinomial(here, 1, generator=generator))
    return torch.cat(chosen, dim=1)
