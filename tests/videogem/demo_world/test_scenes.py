import pytest
import torch

from videogem.demo_world.scenes import (
    SIDE,
    drawable_pairs,
    free_scenes,
    quadrant_scenes,
    unseen_pairs,
)
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.vocabulary import load_vocabulary

WORLDS = [quadrant_scenes, free_scenes]


@pytest.fixture(scope="module")
def unseen():
    return unseen_pairs(load_vocabulary())


def draw(make, allowed, seed=0, batch=200, **options):
    return make(batch, allowed, torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("make", WORLDS)
def test_the_seed_decides_everything(make, unseen):
    first, again, other = (draw(make, ~unseen, seed) for seed in (1, 1, 2))
    for name in ("verbs", "objects", "lone_objects", "people", "held", "lone_places", "aspect"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.people, other.people)


@pytest.mark.parametrize("make", WORLDS)
@pytest.mark.parametrize("is_training", [True, False])
def test_only_allowed_pairs_occur(make, is_training, unseen):
    allowed = ~unseen if is_training else unseen
    scenes = draw(make, allowed)
    shown = scenes.verbs >= 0
    assert allowed[scenes.verbs[shown], scenes.objects[shown]].all()
    assert torch.equal(shown, scenes.objects >= 0)


@pytest.mark.parametrize("make", WORLDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_number_of_actors(make, count, unseen):
    assert (draw(make, ~unseen, num_actors=count).num_actors == count).all()


@pytest.mark.parametrize("make", WORLDS)
def test_any_number_of_actors_occurs_by_default(make, unseen):
    assert set(draw(make, ~unseen).num_actors.tolist()) == {1, 2, 3}


def test_quadrants_are_separate(unseen):
    scenes = draw(quadrant_scenes, ~unseen, num_actors=3)
    centres = (scenes.people[..., :2] + scenes.held[..., :2]) / 2
    quadrant = (centres > SIDE / 2).long()
    number = quadrant[..., 0] + 2 * quadrant[..., 1]
    assert (number.sort(dim=1).values.diff(dim=1) > 0).float().mean() > 0.9


def test_without_the_camera_pairs_stay_in_the_frame(unseen):
    scenes = draw(free_scenes, ~unseen, camera=False, aspect=4 / 3)
    shown = scenes.verbs >= 0
    centres = ((scenes.people[..., :2] + scenes.held[..., :2]) / 2)[shown]
    assert (centres > 0).all()
    assert (centres[:, 0] < SIDE * 4 / 3).all() and (centres[:, 1] < SIDE).all()


def test_no_art_no_pair(unseen):
    fluent = load_sprites("fluent")
    allowed = drawable_pairs(fluent, unseen)
    assert 0 < allowed.sum() < unseen.sum()
    scenes = draw(free_scenes, allowed)
    for number in scenes.objects[scenes.objects >= 0].tolist():
        assert fluent.object_sprites[number]
    for number in scenes.lone_objects[scenes.lone_objects >= 0].tolist():
        assert fluent.object_sprites[number]
