"""Verbs that only motion shows: thirteen ways a person and an object move relative to each other.

A single frame of any of them can be a frame of several others; who sees one frame can only guess.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from videogem.demo_world.vocabulary import Verb

NUM_FRAMES = 8

Uniform = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Tracks:
    """Person and object over time, relative to the pair's resting place.

    Positions run along (``x``) and across (``y``) the line from person to object, in units of
    their resting distance; the person rests at 0, the object at (1, 0). ``size`` scales the
    object, ``turn`` turns it.
    """

    person: Float[Tensor, "B A T 2"]
    object: Float[Tensor, "B A T 2"]
    size: Float[Tensor, "B A T"]
    turn: Float[Tensor, "B A T"]


def sample_tracks(
    motions: Int[Tensor, "B A"], generator: torch.Generator, *, num_frames: int = NUM_FRAMES
) -> Tracks:
    """Tracks of the given motions at random speeds, phases and directions.

    All motions are worked out for every actor and the right one is picked: there are few, and it
    keeps the batch in one piece.
    """
    device = motions.device
    time = torch.linspace(0, 1, num_frames, device=device)
    uniform = partial(torch.rand, *motions.shape, 1, generator=generator, device=device)
    flicker = partial(torch.rand, *motions.shape, num_frames, generator=generator, device=device)
    options = [make(time, uniform, flicker) for make in _MAKERS.values()]
    picked = [
        torch.stack(parts).gather(
            0, motions.clamp(min=0)[None, :, :, None, None].expand(1, *parts[0].shape)
        )[0]
        for parts in zip(*options, strict=True)
    ]
    person, thing, size_turn = picked
    return Tracks(person, thing, size_turn[..., 0], size_turn[..., 1])


def _state(
    time: Tensor,
    like: Tensor,
    *,
    person: tuple[Tensor | float, Tensor | float] = (0.0, 0.0),
    thing: tuple[Tensor | float, Tensor | float] = (1.0, 0.0),
    size: Tensor | float = 1.0,
    turn: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Tracks of one motion for all actors; what is not given rests."""
    shape = (*like.shape[:-1], len(time))

    def pair(values: tuple[Tensor | float, Tensor | float]) -> Tensor:
        return torch.stack(
            [torch.as_tensor(v, device=time.device).float().expand(shape) for v in values], dim=-1
        )

    return pair(person), pair(thing), pair((size, turn))


def _approach(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    start = -0.8 - 0.5 * uniform()
    return _state(time, start, person=(start * (1 - time), 0.0))


def _leave(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    end = -0.8 - 0.5 * uniform()
    return _state(time, end, person=(end * time, 0.0))


def _circle(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    angle = _sign(uniform()) * (3.0 + 2.5 * uniform()) * time
    return _state(time, uniform(), person=(1 - angle.cos(), -angle.sin()))


def _shake(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    alternating = 1 - 2.0 * (torch.arange(len(time), device=time.device) % 2)
    amount = alternating * (0.12 + 0.14 * flicker())
    return _state(time, uniform(), thing=(1 + 0.3 * amount, amount), turn=0.8 * amount)


def _raise(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    height = 0.7 + 0.4 * uniform()
    return _state(time, height, thing=(1.0, height * (0.5 - time)))


def _drop(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    height = 0.8 + 0.5 * uniform()
    return _state(time, height, thing=(1.0, height * (time * time - 0.4)))


def _push(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    way = (0.9 + 0.5 * uniform()) * (time - 0.5)
    return _state(time, way, person=(way, 0.0), thing=(1 + way, 0.0))


def _pull(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    way = (0.9 + 0.5 * uniform()) * (0.5 - time)
    return _state(time, way, person=(way, 0.0), thing=(1 + way, 0.0))


def _spin(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    return _state(time, uniform(), turn=_sign(uniform()) * (4.0 + 4.0 * uniform()) * time)


def _swing(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    phase = 2 * math.pi * (uniform() + (1.0 + 0.6 * uniform()) * time)
    angle = (0.7 + 0.4 * uniform()) * phase.sin()
    return _state(time, angle, thing=(angle.cos(), angle.sin()), turn=0.5 * angle)


def _inflate(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    return _state(time, uniform(), size=0.6 + (0.7 + 0.3 * uniform()) * time)


def _shrink(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    return _state(time, uniform(), size=0.6 + (0.7 + 0.3 * uniform()) * (1 - time))


def _hold(time: Tensor, uniform: Uniform, flicker: Uniform) -> tuple[Tensor, Tensor, Tensor]:
    return _state(time, uniform())


def _sign(share: Tensor) -> Tensor:
    return torch.where(share < 0.5, -1.0, 1.0)


_MAKERS = {
    Verb("approaching", "approach"): _approach,
    Verb("leaving", "leave"): _leave,
    Verb("circling", "circle"): _circle,
    Verb("shaking", "shake"): _shake,
    Verb("raising", "raise"): _raise,
    Verb("dropping", "drop"): _drop,
    Verb("pushing", "push"): _push,
    Verb("pulling", "pull"): _pull,
    Verb("spinning", "spin"): _spin,
    Verb("swinging", "swing"): _swing,
    Verb("inflating", "inflate"): _inflate,
    Verb("shrinking", "shrink"): _shrink,
    Verb("holding", "hold"): _hold,
}
MOTIONS = tuple(_MAKERS)
"""The order is part of the vocabulary."""
