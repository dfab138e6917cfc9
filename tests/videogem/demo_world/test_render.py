import math

import numpy as np
import pytest
import torch
from PIL import Image

from videogem.demo_world.render import Art, Renderer, draw_order
from videogem.demo_world.scenes import SIDE, free_scenes, quadrant_scenes, unseen_pairs
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.vocabulary import load_vocabulary


def make_renderer(seed=0):
    return Renderer(load_sprites(), torch.Generator().manual_seed(seed), num_backgrounds=8)


@pytest.fixture(scope="module")
def renderer():
    return make_renderer()


@pytest.fixture(scope="module")
def allowed():
    return ~unseen_pairs(load_vocabulary())


def pil_paint(sprite, place, turn, flip, aspect=1.0, size_wh=(SIDE, SIDE)):
    """One sprite over black by PIL, from the forward map and its inverse; no code is shared."""
    x, y, size = place
    rotate = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotate @ np.diag([flip, 1.0]) * size / 64
    full = np.eye(3)
    full[:2, :2] = linear
    full[:2, 2] = np.array([x, y]) - linear @ [32, 32]
    squash = np.diag([size_wh[0] / (SIDE * aspect), size_wh[1] / SIDE, 1.0])
    inverse = np.linalg.inv(squash @ full)
    image = Image.fromarray(sprite)
    painted = image.transform(
        size_wh, Image.Transform.AFFINE, inverse[:2].flatten().tolist(), Image.Resampling.BILINEAR
    )
    black = Image.new("RGBA", size_wh, "black")
    return np.asarray(Image.alpha_composite(black, painted).convert("RGB"), float) / 255


@pytest.mark.parametrize("number", range(6))
def test_sprites_look_as_pil_paints_them(renderer, number):
    rng = np.random.default_rng(number)
    sprite = int(rng.integers(2506))
    place = (*rng.uniform(70, 150, 2), rng.uniform(50, 110))
    turn, flip = float(rng.uniform(-0.3, 0.3)), float(rng.choice([-1.0, 1.0]))
    aspect, size_wh = float(rng.choice([1.0, 4 / 3])), ((SIDE, SIDE), (320, 240))[number % 2]
    one = torch.ones(1, 1)
    art = Art((one * sprite).long(), one * turn, one * flip, (one * 0).long(), torch.ones(1, 1, 3))
    layers = renderer.layers(art, torch.tensor([[place]]).float(), torch.tensor([aspect]))
    ours = renderer.paint((layers,), size_wh)[0].permute(1, 2, 0).numpy()
    theirs = pil_paint(load_sprites().images[sprite], place, turn, flip, aspect, size_wh)
    assert ours.shape == theirs.shape
    # PIL rounds to bytes twice and cuts the sprite's edge hard, where ours fades out.
    difference = np.abs(ours - theirs)
    assert np.quantile(difference, 0.995) < 3 / 255
    assert difference.mean() < 0.5 / 255


@pytest.mark.parametrize("make", [quadrant_scenes, free_scenes])
def test_boxes_enclose_what_is_painted_and_little_more(renderer, allowed, make):
    scenes = make(12, allowed, torch.Generator().manual_seed(3), num_actors=1)
    art = renderer.draw_art(scenes, SIDE, vary=False)
    places = draw_order(scenes.lone_places, scenes.people, scenes.held)
    boxes = renderer.actor_boxes(art, places, scenes.aspect)
    num_lone = scenes.lone_objects.shape[1]
    white = torch.full((*art.sprite.shape, 3), 1e4)  # premultiplied colours up to full opacity
    for part in (0, 1):
        only = torch.full_like(art.sprite, -1)
        only[:, num_lone + part] = art.sprite[:, num_lone + part]
        alone = Art(only, art.turn, art.flip, art.level, white)
        canvas = renderer.paint(
            (renderer.layers(alone, places, scenes.aspect),), (SIDE, SIDE)
        ).amax(dim=1)
        for image, box in zip(canvas, boxes[part][:, 0], strict=True):
            rows, columns = torch.nonzero(image > 0.6, as_tuple=True)
            if not len(rows):
                continue
            x1, y1, x2, y2 = box.tolist()
            margin = 1.5
            assert x1 - margin <= columns.min() and columns.max() + 1 <= x2 + margin
            assert y1 - margin <= rows.min() and rows.max() + 1 <= y2 + margin
            painted = (columns.max() + 1 - columns.min()) * (rows.max() + 1 - rows.min())
            # Turned corners overshoot: for the thin things in the set by nearly a factor of three.
            assert painted > 0.3 * (x2 - x1) * (y2 - y1)


@pytest.mark.parametrize("degradation", [True, False])
def test_the_seed_decides_every_pixel(allowed, degradation):
    def images(seed):
        renderer = make_renderer(seed)
        scenes = free_scenes(6, allowed, renderer.generator)
        return renderer.render(scenes, degradation=degradation).images

    first = images(1)
    assert torch.equal(first, images(1))
    assert not torch.equal(first, images(2))
    assert first.shape == (6, 3, SIDE, SIDE)
    assert first.min() >= 0 and first.max() <= 1 and first.std() > 0.05


def test_another_size_shows_the_same_scene(allowed):
    def render(size_wh):
        renderer = make_renderer(5)
        scenes = free_scenes(2, allowed, renderer.generator, aspect=4 / 3, camera=False)
        return renderer.render(scenes, degradation=False, size_wh=size_wh)

    small, large = render((SIDE, SIDE)), render((448, 448))
    shrunk = torch.nn.functional.avg_pool2d(large.images, 2)
    assert (shrunk - small.images).abs().mean() < 0.03
    assert torch.equal(small.boxes, large.boxes)


def test_refreshing_replaces_part_of_the_backgrounds():
    renderer = make_renderer()
    before = renderer._texels.clone()
    renderer.refresh_backgrounds(6, 4)  # wraps round: 6, 7, 0, 1
    changed = (renderer._texels != before)[renderer._bank_start :].view(8, -1).any(dim=1)
    assert changed.tolist() == [True, True, False, False, False, False, True, True]
