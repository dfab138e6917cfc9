"""What is where in a frame of the demo world, before any art is chosen.

Lengths are pixels of a frame that is 224 high and ``224 * aspect`` wide. Everything is drawn from
one generator, so a seed gives the same scenes again on the same kind of device.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from videogem.demo_world.sprites import Sprites
from videogem.demo_world.vocabulary import Vocabulary

SIDE = 224
UNSEEN_SEED = 7
UNSEEN_SHARE = 0.1
MAX_ACTORS = 3

_NUM_CANDIDATES = 12  # places tried for everything that is put into a free scene
_NUM_LONE = 3


@dataclass(frozen=True, eq=False)
class Scenes:
    """A batch of scenes; -1 marks an empty slot.

    ``people`` and ``held`` are centre x, centre y and side of each actor's person and object,
    ``lone_places`` those of objects nobody acts on. ``rotation`` is the largest turn in radians.
    ``is_plain`` scenes show sprites at full detail and true colour before strong colour noise, as
    in the first world.
    """

    verbs: Int[Tensor, "B A"]
    objects: Int[Tensor, "B A"]
    lone_objects: Int[Tensor, "B E"]
    people: Float[Tensor, "B A 3"]
    held: Float[Tensor, "B A 3"]
    lone_places: Float[Tensor, "B E 3"]
    aspect: Float[Tensor, " B"]
    rotation: float
    is_plain: bool

    def __len__(self) -> int:
        return len(self.verbs)

    @property
    def num_actors(self) -> Int[Tensor, " B"]:
        return (self.verbs >= 0).sum(dim=1)


def unseen_pairs(vocabulary: Vocabulary) -> Bool[Tensor, "verbs objects"]:
    """True for the verb-object pairs that no training scene shows (about one in ten).

    Drawn over the raw emoji names; a merged object takes the draw of its first raw name.
    """
    draws = torch.rand(
        len(vocabulary.verbs),
        len(vocabulary.raw_names),
        generator=torch.Generator().manual_seed(UNSEEN_SEED),
    )
    owners = [number for _, number in vocabulary.raw_names]
    first = [owners.index(number) for number in range(len(vocabulary.objects))]
    return (draws < UNSEEN_SHARE)[:, first]


def drawable_pairs(
    sprites: Sprites, pairs: Bool[Tensor, "verbs objects"]
) -> Bool[Tensor, "verbs objects"]:
    """Those of the pairs whose verb and object both have art in this style."""
    verbs = torch.tensor([bool(group) for group in sprites.verb_sprites])
    objects = torch.tensor([bool(group) for group in sprites.object_sprites])
    return pairs & verbs[:, None] & objects


def sample_pairs(
    batch: int, allowed: Bool[Tensor, "verbs objects"], generator: torch.Generator
) -> tuple[Int[Tensor, "B A"], Int[Tensor, "B A"]]:
    """Verbs and objects for every actor slot, uniform over the allowed pairs."""
    choices = allowed.flatten().nonzero().squeeze(1)
    picks = torch.randint(
        len(choices), (batch, MAX_ACTORS), generator=generator, device=choices.device
    )
    pairs = choices[picks]
    return pairs // allowed.shape[1], pairs % allowed.shape[1]


def sample_things(
    shape: tuple[int, int], allowed: Bool[Tensor, "verbs objects"], generator: torch.Generator
) -> Int[Tensor, "B n"]:
    """Objects that nobody acts on, uniform over those that occur in any allowed pair."""
    choices = allowed.any(dim=0).nonzero().squeeze(1)
    return choices[torch.randint(len(choices), shape, generator=generator, device=choices.device)]


def quadrant_scenes(
    batch: int,
    allowed: Bool[Tensor, "verbs objects"],
    generator: torch.Generator,
    *,
    num_actors: int | None = None,
) -> Scenes:
    """The first world: square frames, small pairs in separate quadrants, one lone object."""
    device = allowed.device
    uniform = partial(torch.rand, generator=generator, device=device)
    verbs, objects = sample_pairs(batch, allowed, generator)
    active = _active_slots(
        _given_or(
            num_actors,
            torch.randint(1, MAX_ACTORS + 1, (batch,), generator=generator, device=device),
        )
    )

    quadrant = uniform(batch, 4).argsort(dim=1)
    corner_x, corner_y = quadrant % 2 * 112.0 + 56, quadrant // 2 * 112.0 + 56
    person_side = 40 + 28 * uniform(batch, MAX_ACTORS)
    object_side = 22 + 22 * uniform(batch, MAX_ACTORS)
    angle = 2 * math.pi * uniform(batch, MAX_ACTORS)
    apart = 0.36 * (person_side + object_side)
    x = corner_x[:, :MAX_ACTORS] + 24 * (uniform(batch, MAX_ACTORS) - 0.5)
    y = corner_y[:, :MAX_ACTORS] + 24 * (uniform(batch, MAX_ACTORS) - 0.5)
    dx, dy = angle.cos() * apart, angle.sin() * apart

    lone_x = corner_x[:, MAX_ACTORS:] + 50 * (uniform(batch, 1) - 0.5)
    lone_y = corner_y[:, MAX_ACTORS:] + 50 * (uniform(batch, 1) - 0.5)
    lone_side = 24 + 24 * uniform(batch, 1)
    lone = sample_things((batch, 1), allowed, generator)
    return Scenes(
        verbs=verbs.where(active, -1),
        objects=objects.where(active, -1),
        lone_objects=lone.where(uniform(batch, 1) < 0.6, -1),
        people=torch.stack([x - 0.45 * dx, y - 0.45 * dy, person_side], dim=-1),
        held=torch.stack([x + 0.75 * dx, y + 0.75 * dy, object_side], dim=-1),
        lone_places=torch.stack([lone_x, lone_y, lone_side], dim=-1),
        aspect=torch.ones(batch, device=device),
        rotation=0.2,
        is_plain=True,
    )


def free_scenes(
    batch: int,
    allowed: Bool[Tensor, "verbs objects"],
    generator: torch.Generator,
    *,
    num_actors: int | None = None,
    aspect: float | None = None,
    camera: bool = True,
) -> Scenes:
    """The second world: actors of varied size, placed freely, up to three lone objects.

    The frame's aspect is 1, 4:3, 16:9 or random; it is squashed to the square input when painted.
    ``camera`` zooms about a random point in some of the scenes, so that things may be cut off.
    """
    device = allowed.device
    uniform = partial(torch.rand, generator=generator, device=device)
    verbs, objects = sample_pairs(batch, allowed, generator)
    draw = uniform(batch)
    count = _given_or(num_actors, 1 + (draw > 0.4).long() + (draw > 0.75).long())
    active = _active_slots(count)
    ratio = _aspects(batch, generator) if aspect is None else draw.new_full((batch,), aspect)
    width = SIDE * ratio
    short_side = SIDE * ratio.clamp(max=1)[:, None]

    smallest = draw.new_tensor([0.26, 0.22, 0.18])[count - 1][:, None]
    largest = draw.new_tensor([0.62, 0.44, 0.32])[count - 1][:, None]
    person_side = short_side * (smallest + (largest - smallest) * uniform(batch, MAX_ACTORS))
    object_side = (person_side * (0.45 + 0.45 * uniform(batch, MAX_ACTORS))).clamp(min=26)
    angle = 2 * math.pi * uniform(batch, MAX_ACTORS)
    apart = 0.43 * (person_side + object_side) * (1 + 0.3 * uniform(batch, MAX_ACTORS))
    dx, dy = angle.cos() * apart / 2, angle.sin() * apart / 2
    reach_x = dx.abs() + (person_side + object_side) / 4
    reach_y = dy.abs() + (person_side + object_side) / 4

    lone_side = short_side * (0.12 + 0.2 * uniform(batch, _NUM_LONE))
    lone_shown = uniform(batch, _NUM_LONE) < draw.new_tensor([0.6, 0.4, 0.25])
    x, y = free_places(
        torch.cat([reach_x, lone_side / 2], dim=1),
        torch.cat([reach_y, lone_side / 2], dim=1),
        torch.cat([active, lone_shown], dim=1),
        width,
        generator,
    )
    if camera:
        zoom = torch.where(uniform(batch, 1) < 0.3, 0.85 + 0.4 * uniform(batch, 1), 1.0)
        centre_x, centre_y = width[:, None] * uniform(batch, 1), SIDE * uniform(batch, 1)
        x, y = (x - centre_x) * zoom + centre_x, (y - centre_y) * zoom + centre_y
        person_side, object_side, lone_side, dx, dy = (
            length * zoom for length in (person_side, object_side, lone_side, dx, dy)
        )
    pair_x, pair_y = x[:, :MAX_ACTORS], y[:, :MAX_ACTORS]
    lone = sample_things((batch, _NUM_LONE), allowed, generator)
    return Scenes(
        verbs=verbs.where(active, -1),
        objects=objects.where(active, -1),
        lone_objects=lone.where(lone_shown, -1),
        people=torch.stack([pair_x - dx, pair_y - dy, person_side], dim=-1),
        held=torch.stack([pair_x + dx, pair_y + dy, object_side], dim=-1),
        lone_places=torch.stack([x[:, MAX_ACTORS:], y[:, MAX_ACTORS:], lone_side], dim=-1),
        aspect=ratio,
        rotation=0.3,
        is_plain=False,
    )


def _given_or(number: int | None, drawn: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    return drawn if number is None else torch.full_like(drawn, number)


def _active_slots(count: Int[Tensor, " B"]) -> Bool[Tensor, "B A"]:
    return torch.arange(MAX_ACTORS, device=count.device) < count[:, None]


def _aspects(batch: int, generator: torch.Generator) -> Float[Tensor, " B"]:
    uniform = partial(torch.rand, generator=generator, device=generator.device)
    draw, free = uniform(batch), (1.2 * (uniform(batch) - 0.5)).exp()
    wide = torch.where(draw < 0.6, 4 / 3, torch.where(draw < 0.85, 16 / 9, free))
    return torch.where(draw < 0.4, 1.0, wide)


def free_places(
    reach_x: Float[Tensor, "B I"],
    reach_y: Float[Tensor, "B I"],
    shown: Bool[Tensor, "B I"],
    width: Float[Tensor, " B"],
    generator: torch.Generator,
) -> tuple[Float[Tensor, "B I"], Float[Tensor, "B I"]]:
    """Centres inside the frame; each thing takes the candidate that overlaps the others least."""
    batch, num_things = reach_x.shape
    uniform = partial(torch.rand, batch, _NUM_CANDIDATES, generator=generator, device=width.device)
    centres: list[tuple[Tensor, Tensor]] = []
    for this in range(num_things):
        margin_x = torch.minimum(0.9 * reach_x[:, this], width / 2)[:, None]
        margin_y = (0.9 * reach_y[:, this]).clamp(max=SIDE / 2)[:, None]
        x = margin_x + uniform() * (width[:, None] - 2 * margin_x)
        y = margin_y + uniform() * (SIDE - 2 * margin_y)
        clearance = torch.zeros_like(x)
        for other, (other_x, other_y) in enumerate(centres):
            gap = torch.maximum(
                (x - other_x).abs() - (reach_x[:, this] + reach_x[:, other])[:, None],
                (y - other_y).abs() - (reach_y[:, this] + reach_y[:, other])[:, None],
            )
            clearance = torch.minimum(clearance, gap.where(shown[:, other : other + 1], 0.0))
        best = (clearance + 0.01 * uniform()).argmax(dim=1, keepdim=True)
        centres.append((x.gather(1, best), y.gather(1, best)))
    return torch.cat([c[0] for c in centres], dim=1), torch.cat([c[1] for c in centres], dim=1)
