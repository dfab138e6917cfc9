"""Scenes of the demo world -> images, batched, in plain torch.

Every sprite is one layer: an affine map from image pixels to the sprite's texels, sampled
bilinearly and blended over what is there. On a GPU the layer function is compiled into one kernel;
on the CPU the same function runs eagerly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from videogem.demo_world import backgrounds as demo_backgrounds
from videogem.demo_world.degrade import degrade, shift_colours
from videogem.demo_world.scenes import MAX_ACTORS, SIDE, Scenes
from videogem.demo_world.sprites import Sprites

_NUM_LEVELS = 3  # detail levels of a sprite: 64, 32 and 16 texels a side


@dataclass(frozen=True, eq=False)
class Layers:
    """What to paint, back to front.

    ``start`` is the first texel in the atlas, or -1 for nothing, ``side`` the texels a side.
    ``affine`` rows (a, b, c, d, e, f) map a pixel centre (x, y) to the texel centre
    (a x + b y + c, d x + e y + f). ``gain`` brightens each colour.
    """

    start: Int[Tensor, "B L"]
    side: Int[Tensor, "B L"]
    affine: Float[Tensor, "B L 6"]
    gain: Float[Tensor, "B L 3"]


@dataclass(frozen=True, eq=False)
class Art:
    """Which emoji (-1: none) everything is drawn with, and how, back to front."""

    sprite: Int[Tensor, "B L"]
    turn: Float[Tensor, "B L"]
    flip: Float[Tensor, "B L"]
    level: Int[Tensor, "B L"]
    gain: Float[Tensor, "B L 3"]


@dataclass(frozen=True, eq=False)
class RenderedScenes:
    """Images in [0, 1], and the true boxes, xyxy (evaluation only).

    Boxes are in pixels of the square input of 224, whatever size was painted.
    """

    images: Float[Tensor, "B 3 H W"]
    person_boxes: Float[Tensor, "B A 4"]
    object_boxes: Float[Tensor, "B A 4"]

    @property
    def boxes(self) -> Float[Tensor, "B A 4"]:
        """Around the person and the object of each pair."""
        return torch.cat(
            [
                torch.minimum(self.person_boxes[..., :2], self.object_boxes[..., :2]),
                torch.maximum(self.person_boxes[..., 2:], self.object_boxes[..., 2:]),
            ],
            dim=-1,
        )


class Renderer:
    """Holds the art on a device, a bank of backgrounds, and the generator all chance comes from.

    ``degradation`` turns on the colour shifts, blur and block noise that training frames of the
    second world get; without it only a little pixel noise is added.
    """

    def __init__(
        self, sprites: Sprites, generator: torch.Generator, *, num_backgrounds: int = 1024
    ) -> None:
        self.generator = generator
        self.device = generator.device
        self.bounds = torch.from_numpy(sprites.bounds).float().to(self.device)
        self.verb_sprites = _choices(sprites.verb_sprites, self.device)
        self.object_sprites = _choices(sprites.object_sprites, self.device)
        levels = _detail_levels(torch.from_numpy(sprites.images).to(self.device))
        self._level_starts = torch.tensor(
            [0, *(level.numel() for level in levels[:-1])], device=self.device
        ).cumsum(0)
        self._bank_start = sum(level.numel() for level in levels)
        self.num_backgrounds = num_backgrounds
        bank = torch.zeros(
            num_backgrounds * demo_backgrounds.SIDE**2, dtype=torch.int32, device=self.device
        )
        self._texels = torch.cat([*(level.flatten() for level in levels), bank])
        # Compiled here rather than at import, and only where it pays.
        self._blend: Callable[..., Tensor] = (
            torch.compile(blend_layer) if self.device.type == "cuda" else blend_layer
        )
        for first in range(0, num_backgrounds, 128):
            self.refresh_backgrounds(first, min(128, num_backgrounds - first))

    @torch.no_grad()
    def refresh_backgrounds(self, first: int, count: int) -> None:
        """Replace a run of the bank; its first quarter is colour noise, the rest soft."""
        numbers = torch.arange(first, first + count, device=self.device) % self.num_backgrounds
        images = demo_backgrounds.paint_backgrounds(
            numbers >= self.num_backgrounds // 4, self.generator
        )
        opaque = torch.cat([images, torch.ones_like(images[:, :1])], dim=1).permute(0, 2, 3, 1)
        bank = self._texels[self._bank_start :].view(self.num_backgrounds, -1)
        bank[numbers] = _pack_texels(opaque).flatten(1)

    @torch.no_grad()
    def render(
        self,
        scenes: Scenes,
        *,
        degradation: bool = True,
        size_wh: tuple[int, int] = (SIDE, SIDE),
    ) -> RenderedScenes:
        """Paint a batch of scenes; which emoji stands for a word is drawn here.

        Frames of any aspect are squashed or stretched to ``size_wh``.
        """
        vary = degradation and not scenes.is_plain
        art = self.draw_art(scenes, size_wh[1], vary=vary)
        places = draw_order(scenes.lone_places, scenes.people, scenes.held)
        layers = self.layers(art, places, scenes.aspect)
        canvas = self.paint((self.background_layer(scenes), layers), size_wh)
        person_boxes, object_boxes = self.actor_boxes(art, places, scenes.aspect)
        uniform = partial(torch.rand, generator=self.generator, device=self.device)
        if vary:
            canvas = shift_colours(canvas, self.generator)
            noise = 0.05 * uniform(len(scenes)) * (uniform(len(scenes)) < 0.6)
        else:
            noise = 0.03 * uniform(len(scenes))
        images = self.add_grain(canvas, noise)
        return RenderedScenes(
            degrade(images, self.generator) if vary else images, person_boxes, object_boxes
        )

    def draw_art(self, scenes: Scenes, height: int, *, vary: bool) -> Art:
        """Choose an emoji, its turn, flip, detail and brightness for everything in the scenes."""
        uniform = partial(torch.rand, generator=self.generator, device=self.device)
        sprite = draw_order(
            self._choose(self.object_sprites, scenes.lone_objects),
            self._choose(self.verb_sprites, scenes.verbs),
            self._choose(self.object_sprites, scenes.objects),
        )
        shape = sprite.shape
        turn = (2 * uniform(shape) - 1) * scenes.rotation
        flip = torch.where(uniform(shape) < 0.5, -1.0, 1.0)
        level = torch.zeros_like(sprite)
        if not scenes.is_plain:
            size = draw_order(scenes.lone_places, scenes.people, scenes.held)[..., 2]
            coarser = (64 * SIDE / height / size).log2() + uniform(shape) - 0.6
            level = coarser.round().clamp(0, _NUM_LEVELS - 1).long()
        gain = torch.ones(*shape, 3, device=self.device)
        if vary:
            gain = (0.85 + 0.3 * uniform(*shape, 1)) * (0.92 + 0.16 * uniform(*shape, 3))
        return Art(sprite, turn, flip, level, gain)

    def layers(
        self, art: Art, places: Float[Tensor, "B L 3"], aspect: Float[Tensor, " B"]
    ) -> Layers:
        """The art at its places; lone objects lie behind, each object over its person."""
        x, y, size = places.unbind(-1)
        side = 64 // 2**art.level
        start = self._level_starts[art.level] + art.sprite * side**2
        affine = _sprite_affine(x, y, size, art.turn, art.flip, side, aspect[:, None])
        return Layers(start.where(art.sprite >= 0, -1).int(), side.int(), affine, art.gain)

    def actor_boxes(
        self, art: Art, places: Float[Tensor, "B L 3"], aspect: Float[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B A 4"], Float[Tensor, "B A 4"]]:
        """True boxes of the actors' persons and objects, cut at the frame's edge."""
        corners = _turned_bounds(self.bounds[art.sprite.clamp(min=0)], art.flip, art.turn)
        boxes = places[..., [0, 1, 0, 1]] + corners * places[..., 2:]
        boxes[..., 0::2] /= aspect.view(-1, 1, 1)
        actors = boxes.clamp(0, SIDE)[:, -2 * MAX_ACTORS :].unflatten(1, (MAX_ACTORS, 2))
        return actors[:, :, 0], actors[:, :, 1]

    def paint(
        self, groups: tuple[Layers, ...], size_wh: tuple[int, int]
    ) -> Float[Tensor, "B 3 H W"]:
        """Blend all layers, group by group, over black."""
        width, height = size_wh
        canvas = torch.zeros(len(groups[0].start), 3, height, width, device=self.device)
        shrink = torch.tensor([SIDE / width, SIDE / height, 1.0], device=self.device).repeat(2)
        for group in groups:
            used = (group.start >= 0).any(dim=0).tolist()
            for number in (number for number, shown in enumerate(used) if shown):
                canvas = self._blend(
                    canvas,
                    self._texels,
                    # Contiguous, as the compiled function is specialised on strides.
                    group.start[:, number].contiguous(),
                    group.side[:, number].contiguous(),
                    (group.affine[:, number] * shrink).contiguous(),
                    group.gain[:, number].contiguous(),
                )
        return canvas

    def add_grain(
        self, canvas: Float[Tensor, "B 3 H W"], strength: Float[Tensor, " B"]
    ) -> Float[Tensor, "B 3 H W"]:
        """Pixel noise, and clipping to [0, 1]; half precision on a GPU."""
        images = canvas.to(torch.float16 if self.device.type == "cuda" else torch.float32)
        grain = torch.randn(
            images.shape, generator=self.generator, device=self.device, dtype=images.dtype
        )
        strength = strength.to(images.dtype).view(-1, 1, 1, 1)
        return torch.addcmul(images, grain, strength).clamp_(0, 1)

    def _choose(
        self, choices: Int[Tensor, "words art"], words: Int[Tensor, "B n"]
    ) -> Int[Tensor, "B n"]:
        """A random emoji for every word; -1 stays."""
        picks = torch.randint(
            choices.shape[1], words.shape, generator=self.generator, device=self.device
        )
        return choices[words.clamp(min=0), picks].where(words >= 0, -1)

    def background_layer(self, scenes: Scenes) -> Layers:
        """One cut-out of a background each, flipped or not; plain scenes take colour noise."""
        batch, cells = len(scenes), demo_backgrounds.SIDE
        uniform = partial(torch.rand, batch, generator=self.generator, device=self.device)
        last = self.num_backgrounds // 4 if scenes.is_plain else self.num_backgrounds
        number = torch.randint(last, (batch,), generator=self.generator, device=self.device)
        share = torch.full_like(scenes.aspect, 0.98) if scenes.is_plain else 0.4 + 0.58 * uniform()
        step = share * cells / SIDE
        flip = torch.where(uniform() < 0.5, -1.0, 1.0)
        room = (cells - 1) * (1 - share)
        left = torch.where(flip > 0, 0.0, SIDE * step) + 0.5 + room * uniform()
        top = 0.5 + room * uniform()
        zero = torch.zeros_like(step)
        return Layers(
            (self._bank_start + number * cells**2).int()[:, None],
            torch.full((batch, 1), cells, dtype=torch.int32, device=self.device),
            torch.stack([flip * step, zero, left, zero, step, top], dim=-1)[:, None],
            torch.ones(batch, 1, 3, device=self.device),
        )


def draw_order(lone: Tensor, people: Tensor, held: Tensor) -> Tensor:
    """Everything in a scene along axis 1, back to front: lone objects, then pair by pair."""
    return torch.cat([lone, torch.stack([people, held], dim=2).flatten(1, 2)], dim=1)


def blend_layer(
    canvas: Float[Tensor, "B 3 H W"],
    texels: Int[Tensor, " M"],
    start: Int[Tensor, " B"],
    side: Int[Tensor, " B"],
    affine: Float[Tensor, "B 6"],
    gain: Float[Tensor, "B 3"],
) -> Float[Tensor, "B 3 H W"]:
    """Blend one sprite per image over the canvas, sampled bilinearly.

    A texel is four bytes, red first, colours premultiplied with the opacity.
    """
    height, width = canvas.shape[-2:]
    x = torch.arange(width, device=canvas.device) + 0.5
    y = (torch.arange(height, device=canvas.device) + 0.5)[:, None]
    a, b, c, d, e, f = (value.view(-1, 1, 1) for value in affine.unbind(-1))
    u, v = a * x + b * y + c - 0.5, d * x + e * y + f - 0.5  # B H W
    left, top = u.floor(), v.floor()
    share_x, share_y = u - left, v - top
    column, row = left.int(), top.int()
    first, count = start.view(-1, 1, 1), side.view(-1, 1, 1)

    red = green = blue = opacity = torch.zeros_like(u)
    for down in (0, 1):
        for right in (0, 1):
            i, j = column + right, row + down
            inside = (i >= 0) & (i < count) & (j >= 0) & (j < count) & (first >= 0)
            texel = texels[torch.where(inside, first + j * count + i, 0)]
            weight = (share_x if right else 1 - share_x) * (share_y if down else 1 - share_y)
            weight = torch.where(inside, weight, 0.0) / 255
            red = red + weight * (texel & 255)
            green = green + weight * ((texel >> 8) & 255)
            blue = blue + weight * ((texel >> 16) & 255)
            opacity = opacity + weight * ((texel >> 24) & 255)
    colours = torch.stack([red, green, blue], dim=1) * gain[:, :, None, None]
    opacity = opacity[:, None]
    return canvas * (1 - opacity) + torch.minimum(colours, opacity)


def _sprite_affine(
    x: Float[Tensor, "B L"],
    y: Float[Tensor, "B L"],
    size: Float[Tensor, "B L"],
    turn: Float[Tensor, "B L"],
    flip: Float[Tensor, "B L"],
    side: Int[Tensor, "B L"],
    aspect: Float[Tensor, "B 1"],
) -> Float[Tensor, "B L 6"]:
    """Pixels of the squashed image -> texels of a sprite centred at (x, y)."""
    cos, sin = turn.cos() * side / size, turn.sin() * side / size
    return torch.stack(
        [
            flip * cos * aspect,
            flip * sin,
            side / 2 - flip * (cos * x + sin * y),
            -sin * aspect,
            cos,
            side / 2 + sin * x - cos * y,
        ],
        dim=-1,
    )


def _turned_bounds(
    bounds: Float[Tensor, "B L 4"], flip: Float[Tensor, "B L"], turn: Float[Tensor, "B L"]
) -> Float[Tensor, "B L 4"]:
    """Box round a sprite's visible pixels after flip and turn, relative to its centre and size.

    The turned corners of the upright box are enclosed, which overshoots a round shape a little.
    """
    x0, y0, x1, y1 = (bounds - 0.5).unbind(-1)
    x = torch.stack([x0, x1, x0, x1], dim=-1) * flip[..., None]
    y = torch.stack([y0, y0, y1, y1], dim=-1)
    cos, sin = turn.cos()[..., None], turn.sin()[..., None]
    u, v = x * cos - y * sin, x * sin + y * cos
    return torch.stack([u.amin(-1), v.amin(-1), u.amax(-1), v.amax(-1)], dim=-1)


def _choices(groups: tuple[tuple[int, ...], ...], device: torch.device) -> Int[Tensor, "words art"]:
    """Groups of different lengths as one table; short rows repeat, empty ones are not used."""
    longest = max(map(len, groups))
    rows = [((group or (0,)) * longest)[:longest] for group in groups]
    return torch.tensor(rows, device=device)


def _detail_levels(images: UInt8[Tensor, "S side side 4"]) -> list[Int[Tensor, "S s s"]]:
    """Packed sprites at full, half and quarter detail."""
    pixels = images.float() / 255
    level = torch.cat([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], dim=-1)
    levels = []
    for _ in range(_NUM_LEVELS):
        levels.append(_pack_texels(level))
        level = F.avg_pool2d(level.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return levels


def _pack_texels(pixels: Float[Tensor, "*B 4"]) -> Int[Tensor, "*B"]:
    """Four channels in [0, 1] -> one 32-bit number, red in the lowest byte."""
    channels = (pixels * 255).round().to(torch.uint8).contiguous()
    return channels.view(torch.int32).squeeze(-1)
