import math

import pytest
import torch
import torch.nn.functional as F
from open_clip import SimpleTokenizer
from safetensors import safe_open

from videogem.backbones.zoo import load_backbone
from videogem.demo_world.captions import CONTEXT
from videogem.demo_world.training import train as demo_train
from videogem.demo_world.training.fit import Schedule
from videogem.demo_world.training.towers import (
    encode_images,
    encode_tokens,
    matching_loss,
    own_caption_loss,
    standardise,
)
from videogem.demo_world.training.weights import (
    bake_inverse_temperature,
    build_model,
    load_weights,
    save_weights,
)
from videogem.demo_world.vocabulary import DEMO_DIRECTORY


@pytest.fixture(scope="module")
def shipped():
    return load_weights(DEMO_DIRECTORY / "model.safetensors")[0].eval()


def test_the_training_forward_pass_is_open_clips(shipped):
    images = torch.rand(2, 3, 224, 224)
    tokens = SimpleTokenizer(context_length=CONTEXT)(["a photo of a person cooking.", "the fly"])
    with torch.no_grad():
        torch.testing.assert_close(
            encode_images(shipped, images),
            shipped.encode_image(standardise(images)),
            atol=1e-4,
            rtol=1e-4,
        )
        torch.testing.assert_close(
            encode_tokens(shipped, tokens[:, :12]),
            shipped.encode_text(tokens),
            atol=1e-4,
            rtol=1e-4,
        )


def logits_and_fits(batch=5, runs=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, runs * batch, generator=generator, requires_grad=True)
    fits = torch.rand(batch, runs * batch, generator=generator) < 0.2
    for run in range(runs):
        fits[torch.arange(batch), run * batch + torch.arange(batch)] = True
    return logits, fits


def test_own_caption_loss_against_a_plain_loop():
    logits, fits = logits_and_fits()
    batch, total = len(logits), 0.0
    for caption in range(2 * batch):
        image = caption % batch
        own = logits[image, caption]
        others = [logits[image, c] for c in range(2 * batch) if not fits[image, c]]
        total += F.cross_entropy(torch.stack([own, *others])[None], torch.tensor([0])) / 2
        others = [logits[i, caption] for i in range(batch) if not fits[i, caption]]
        total += F.cross_entropy(torch.stack([own, *others])[None], torch.tensor([0])) / 2
    torch.testing.assert_close(own_caption_loss(logits, fits), total / (2 * batch))


def test_own_caption_loss_survives_a_batch_in_which_everything_fits():
    logits, fits = logits_and_fits()
    own_caption_loss(logits, torch.ones_like(fits)).backward()
    assert logits.grad.isfinite().all()


def test_matching_loss_is_cross_entropy_where_one_caption_fits():
    logits = torch.randn(6, 6)
    labels = torch.arange(6)
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(matching_loss(logits, torch.eye(6, dtype=torch.bool)), expected)


def test_schedule_warms_up_and_ends_at_zero():
    schedule = Schedule(minutes=6.0, batch_size=4, learning_rate=1e-3, warmup_steps=100)
    assert schedule.rate(0, 0.0) == pytest.approx(1e-5)
    assert schedule.rate(500, 0.0) == pytest.approx(1e-3)
    assert schedule.rate(500, 0.5) == pytest.approx(5e-4)
    assert schedule.rate(500, 1.2) == 0


def test_the_inverse_temperature_is_baked_without_changing_the_function():
    torch.manual_seed(0)
    model = build_model().eval()
    pixels = standardise(torch.rand(4, 3, 224, 224))
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        before = model.encode_image(pixels)
        found = bake_inverse_temperature(
            lambda: model.encode_image(pixels), blocks, inverse_temperature=9.0
        )
        torch.testing.assert_close(model.encode_image(pixels), before, atol=1e-4, rtol=1e-3)
        again = bake_inverse_temperature(
            lambda: model.encode_image(pixels), blocks, inverse_temperature=9.0
        )
    assert len(found) == 7 and max(found) < 3
    assert again == pytest.approx([9.0] * 7, rel=1e-3)


def test_weights_that_are_not_finite_do_not_replace_good_ones(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"good")
    model = build_model()
    with torch.no_grad():
        model.visual.proj[0, 0] = math.inf
    with pytest.raises(ValueError, match=r"visual\.proj"):
        save_weights(model, [0, 1], path)
    assert path.read_bytes() == b"good"


@pytest.mark.slow
def test_two_steps_of_both_stages_end_in_a_model_that_grounds(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(demo_train, "start_logging", lambda: None)  # leave pytest's logging alone
    caplog.set_level("INFO")
    options = {"out": tmp_path, "batch_size": 3, "max_steps": 2, "device": "cpu", "check_scenes": 2}
    demo_train.train(stage=1, **options)
    stage1 = tmp_path / "stage1.safetensors"
    with safe_open(stage1, framework="pt") as file:
        assert file.metadata()["steps"] == "2"
    demo_train.train(stage=2, start=stage1, **options)
    assert "points in the true box" in caplog.text
    model = tmp_path / "model.safetensors"
    assert model.stat().st_size <= 16 * 2**20
    start, end = (load_weights(path)[0].visual.proj for path in (stage1, model))
    assert not torch.equal(start, end)
    assert load_backbone(str(model)).num_blocks == 12


def test_an_interrupted_training_keeps_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_train, "start_logging", lambda: None)
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    original = demo_train.batch_loss
    monkeypatch.setattr(demo_train, "batch_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo_train.train(stage=1, out=tmp_path, batch_size=2, device="cpu")
    with safe_open(tmp_path / "stage1.safetensors", framework="pt") as file:
        assert file.metadata()["steps"] == "1"
