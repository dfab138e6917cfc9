import pytest
import torch

from videogem.backbones.zoo import load_backbone
from videogem.demo_world.motions import MOTIONS, NUM_FRAMES, sample_tracks
from videogem.demo_world.render import Renderer
from videogem.demo_world.scenes import unseen_pairs
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.training import video_train as demo_video_train
from videogem.demo_world.training.towers import standardise
from videogem.demo_world.training.video_model import (
    encode_videos,
    from_image_model,
    standardise_videos,
)
from videogem.demo_world.training.weights import load_weights
from videogem.demo_world.video_render import render_videos
from videogem.demo_world.video_scenes import (
    motion_vocabulary,
    moving_scenes,
    unseen_motions,
)
from videogem.demo_world.vocabulary import DEMO_DIRECTORY, load_vocabulary

IMAGE_MODEL = DEMO_DIRECTORY / "model.safetensors"
NUMBER = {motion.base: index for index, motion in enumerate(MOTIONS)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def allowed():
    vocabulary = load_vocabulary()
    return ~unseen_pairs(vocabulary), ~unseen_motions(vocabulary)


def scenes(allowed, seed=0, batch=60, **options):
    return moving_scenes(batch, *allowed, generator(seed), **options)


def track(name, count=50):
    return sample_tracks(torch.full((count, 1), NUMBER[name]), generator())


def test_motions_do_what_they_are_called():
    def apart(tracks):
        return (tracks.object - tracks.person).norm(dim=-1)[:, 0]

    assert (apart(track("approach")).diff(dim=1) < 0).all()
    assert (apart(track("leave")).diff(dim=1) > 0).all()
    torch.testing.assert_close(apart(track("circle")), torch.ones(50, NUM_FRAMES))
    assert (track("raise").object[:, 0, :, 1].diff(dim=1) < 0).all()  # up is towards 0
    assert (track("drop").object[:, 0, :, 1].diff(dim=1) > 0).all()
    assert (track("push").person[:, 0, :, 0].diff(dim=1) > 0).all()
    assert (track("pull").person[:, 0, :, 0].diff(dim=1) < 0).all()
    assert (track("spin").turn[:, 0].diff(dim=1).abs() > 0.3).all()
    assert (track("inflate").size[:, 0].diff(dim=1) > 0).all()
    assert (track("shrink").size[:, 0].diff(dim=1) < 0).all()
    assert track("hold").object.var(dim=2).max() == 0


def test_no_two_actors_of_a_twin_scene_move_alike(allowed):
    scene = scenes(allowed, num_actors=2, twin_share=1.0)
    assert torch.equal(scene.still.objects[:, 0], scene.still.objects[:, 1])
    assert (scene.motions[:, 0] != scene.motions[:, 1]).all()


def test_only_allowed_pairs_occur(allowed):
    verbs, motions = allowed
    scene = scenes(allowed, batch=200)
    shown = scene.motions >= 0
    assert motions[scene.motions[shown], scene.still.objects[shown]].all()
    assert verbs[scene.still.verbs[shown], scene.still.objects[shown]].all()
    few = torch.tensor([3, 50, 77])
    only = scenes(allowed, objects=few).still.objects
    assert set(only[only >= 0].tolist()) <= set(few.tolist())


def test_things_keep_their_look_and_boxes_follow_them(allowed):
    def render(seed):
        renderer = Renderer(load_sprites(), generator(seed), num_backgrounds=8)
        scene = scenes(allowed, seed, batch=3, num_actors=1)
        return scene, render_videos(renderer, scene, degradation=False)

    scene, rendered = render(1)
    assert rendered.videos.shape == (3, NUM_FRAMES, 3, 224, 224)
    assert rendered.boxes.shape == (3, NUM_FRAMES, 3, 4)
    assert torch.equal(rendered.videos, render(1)[1].videos)
    difference = (rendered.videos[:, 1:] - rendered.videos[:, :-1]).abs().mean()
    between_clips = (rendered.videos[0] - rendered.videos[1]).abs().mean()
    assert difference < 0.3 * between_clips
    centres = scene.people[:, :, 0, :2] - scene.camera
    inside = ((centres > 20) & (centres < 204)).all(dim=-1)
    boxes = rendered.boxes[:, :, 0]
    covered = ((boxes[..., :2] <= centres) & (centres <= boxes[..., 2:])).all(dim=-1)
    assert covered[inside].all()


def test_captions_of_motion_and_of_look_are_both_true(allowed):
    data = demo_video_train.VideoData(40, torch.device("cpu"), 0)
    scene = data.scenes()
    captions, fits = data.captions(scene)
    assert fits[:, :40].diagonal().all() and fits[:, 40:].diagonal().all()
    first_motion = len(load_vocabulary().verbs)
    said = captions.verbs[:80][captions.verbs[:80] >= 0]
    assert (said >= first_motion).any() and (said < first_motion).any()
    assert said.max() < len(motion_vocabulary(load_vocabulary()).verbs)
    mistaken = captions.verbs[80:] >= 0
    assert not fits[:, 80:].diagonal()[mistaken].any()


@pytest.fixture(scope="module")
def models():
    return from_image_model(IMAGE_MODEL).eval(), load_weights(IMAGE_MODEL)[0].eval()


def test_the_video_model_starts_from_the_image_models_tokens(models):
    video_model, image_model = models
    image = torch.rand(1, 3, 224, 224)
    still = image[:, None].expand(-1, NUM_FRAMES, -1, -1, -1)
    visual = image_model.visual
    with torch.no_grad():
        tokens, grid = video_model.vision_encoder.embed(standardise_videos(still))
        patches = visual.conv1(standardise(image)).flatten(2).transpose(1, 2)
        expected = visual.ln_pre(patches + visual.positional_embedding[1:])
        assert grid == (14, 14, NUM_FRAMES)
        for frame in range(NUM_FRAMES):
            torch.testing.assert_close(
                tokens[:, 1 + frame :: NUM_FRAMES], expected, atol=1e-4, rtol=1e-4
            )
        ours = encode_videos(video_model, still)
        torch.testing.assert_close(
            ours, video_model.encode_video(standardise_videos(still)), atol=1e-4, rtol=1e-4
        )
        everything = torch.arange(196)[None]
        torch.testing.assert_close(encode_videos(video_model, still, everything), ours)


@pytest.mark.slow
def test_one_step_of_training_ends_in_a_model_that_loads(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(demo_video_train, "start_logging", lambda: None)
    caplog.set_level("INFO")
    demo_video_train.train(out=tmp_path, batch_size=2, max_steps=1, device="cpu", check_scenes=1)
    model = tmp_path / "model.safetensors"
    assert model.stat().st_size <= 12e6
    assert load_backbone(str(model)).num_frames == NUM_FRAMES
    assert "video verb" in caplog.text and "frame verb" in caplog.text
