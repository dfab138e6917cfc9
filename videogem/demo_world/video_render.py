"""Moving scenes of the demo world -> short clips, with the renderer of the still world."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from videogem.demo_world.degrade import shift_colours
from videogem.demo_world.render import Art, Layers, Renderer, draw_order
from videogem.demo_world.scenes import SIDE
from videogem.demo_world.video_scenes import VideoScenes


@dataclass(frozen=True, eq=False)
class RenderedVideos:
    """Clips in [0, 1], and true boxes round person and object in pixels of each frame, xyxy."""

    videos: Float[Tensor, "B T 3 224 224"]
    boxes: Float[Tensor, "B T A 4"]


@torch.no_grad()
def render_videos(
    renderer: Renderer, scenes: VideoScenes, *, degradation: bool = True
) -> RenderedVideos:
    """Paint a batch of clips: each thing keeps its emoji, background and colours in all frames."""
    batch, num_frames = scenes.camera.shape[:2]
    generator, device = renderer.generator, renderer.device
    uniform = partial(torch.rand, batch, generator=generator, device=device)
    art = _every_frame(renderer.draw_art(scenes.still, SIDE, vary=degradation), num_frames)
    turn = torch.zeros(batch * num_frames, art.sprite.shape[1], device=device)
    turn = turn + art.turn
    num_lone = scenes.still.lone_objects.shape[1]
    turn[:, num_lone + 1 :: 2] += scenes.held_turn.flatten(0, 1)
    art = replace(art, turn=turn)

    lone = scenes.still.lone_places[:, None].expand(-1, num_frames, -1, -1).flatten(0, 1)
    places = draw_order(lone, scenes.people.flatten(0, 1), scenes.held.flatten(0, 1))
    places[..., :2] -= scenes.camera.flatten(0, 1)[:, None]
    aspect = scenes.still.aspect.repeat_interleave(num_frames)
    layers = renderer.layers(art, places, aspect)
    background = _panned(renderer.background_layer(scenes.still), scenes)
    canvas = renderer.paint((background, layers), (SIDE, SIDE))
    person_boxes, object_boxes = renderer.actor_boxes(art, places, aspect)
    boxes = torch.cat(
        [
            torch.minimum(person_boxes[..., :2], object_boxes[..., :2]),
            torch.maximum(person_boxes[..., 2:], object_boxes[..., 2:]),
        ],
        dim=-1,
    )
    strength = 0.03 * uniform()
    if degradation:
        # One shift of colours per clip: its frames lie side by side while they are shifted.
        wide = canvas.unflatten(0, (batch, num_frames)).transpose(1, 2).flatten(2, 3)
        shifted = shift_colours(wide, generator)
        canvas = shifted.unflatten(2, (num_frames, SIDE)).transpose(1, 2).flatten(0, 1)
        strength = 0.05 * uniform() * (uniform() < 0.6)
    images = renderer.add_grain(canvas, strength.repeat_interleave(num_frames))
    return RenderedVideos(
        images.unflatten(0, (batch, num_frames)), boxes.unflatten(0, (batch, num_frames))
    )


def _every_frame(art: Art, num_frames: int) -> Art:
    """The same choices for all frames of a clip."""
    return Art(
        *(
            value.repeat_interleave(num_frames, dim=0)
            for value in (art.sprite, art.turn, art.flip, art.level, art.gain)
        )
    )


def _panned(background: Layers, scenes: VideoScenes) -> Layers:
    """The background of every frame, moved with the camera.

    The texels seen are drawn closer together, so that the pan does not run over their edge.
    """
    num_frames = scenes.camera.shape[1]
    repeat = partial(torch.repeat_interleave, repeats=num_frames, dim=0)
    affine = repeat(background.affine).clone()  # B*T 1 6
    margin = 24 / (SIDE + 48)
    camera = scenes.camera.flatten(0, 1)
    inner = 1 - 2 * margin
    for column, step, shift in ((2, 0, camera[:, 0]), (5, 4, camera[:, 1])):
        slope = affine[:, 0, step] * inner
        affine[:, 0, column] += affine[:, 0, step] * margin * SIDE + slope * shift
        affine[:, 0, step] = slope
    return Layers(
        repeat(background.start), repeat(background.side), affine, repeat(background.gain)
    )
