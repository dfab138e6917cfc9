"""The walk through open_clip towers against open_clip itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from open_clip import SimpleTokenizer
from PIL import Image

from tests.towers import TEXT, tiny_backbone, tiny_clip
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.errors import InputError
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

TOKENIZER = SimpleTokenizer(context_length=TEXT["context_length"])
TEXTS = ["A photo of a person cutting tomatoes.", "stir", "a b c d e f g h i j k"]


@pytest.mark.parametrize("quick_gelu", [False, True])
@pytest.mark.parametrize("scale", [None, 0.1])
def test_ordinary_path_is_encode_image(quick_gelu, scale):
    model = tiny_clip(quick_gelu=quick_gelu, scale=scale)
    backbone = OpenCLIPBackbone(model, TOKENIZER, name="tiny")
    pixels = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        expected = model.encode_image(pixels)
        for baselines in (False, True):
            tokens = backbone.encode_frames(pixels, AttentionSettings(baselines=baselines))
            assert (tokens.output is not None) == baselines
            torch.testing.assert_close(
                backbone.project(tokens.class_path[-1]), expected, atol=1e-5, rtol=1e-5
            )
        assert torch.equal(model.encode_image(pixels), expected), "the model was changed"


def test_batching_changes_nothing():
    backbone = tiny_backbone()
    pixels = torch.randn(3, 3, 64, 64)
    batch = backbone.encode_frames(pixels, AttentionSettings(baselines=True))
    for index in range(3):
        alone = backbone.encode_frames(pixels[index : index + 1], AttentionSettings(baselines=True))
        sample = batch.sample(index)
        for name in ("terms", "class_path", "second", "output", "values", "value_value"):
            torch.testing.assert_close(
                getattr(sample, name), getattr(alone, name), atol=1e-5, rtol=1e-5
            )


def test_texts_are_open_clips_own_whatever_they_are_batched_with():
    model = tiny_clip()
    backbone = OpenCLIPBackbone(model, TOKENIZER, name="tiny")
    with torch.inference_mode():
        expected = F.normalize(model.encode_text(TOKENIZER(TEXTS)), dim=-1)
    torch.testing.assert_close(backbone.encode_texts(TEXTS), expected, atol=1e-5, rtol=1e-5)
    again = backbone.encode_texts(TEXTS[::-1])
    torch.testing.assert_close(again, expected.flip(0), atol=1e-5, rtol=1e-5)


def test_texts_seen_before_are_not_encoded_again(monkeypatch):
    backbone = tiny_backbone()
    first = backbone.encode_texts(TEXTS)
    monkeypatch.setattr(backbone, "encode_tokens", None)  # a call would fail
    assert torch.equal(backbone.encode_texts(TEXTS[:2]), first[:2])


def test_frames_are_squashed_whole_and_standardised(random_frame):
    backbone = tiny_backbone(image_size=96)
    pixels = backbone.preprocess([Clip.from_image(random_frame)])
    resized = Image.fromarray(random_frame).resize((96, 96), Image.Resampling.BICUBIC)
    red = (np.asarray(resized)[..., 0] / 255 - 0.48145466) / 0.26862954
    np.testing.assert_allclose(pixels[0, 0].numpy(), red, atol=1e-5)
    tokens = backbone.encode_frames(pixels, AttentionSettings())
    assert tokens.grid == (6, 6, 1)


def test_depth_beyond_the_tower_names_both_numbers():
    backbone = tiny_backbone(layers=6)
    with pytest.raises(InputError, match="6 blocks, the depth asked for is 7"):
        backbone.encode_frames(torch.zeros(1, 3, 64, 64), AttentionSettings())


def test_image_size_must_fit_the_patches():
    with pytest.raises(InputError, match="multiple of the patch size"):
        tiny_backbone(image_size=100)


def test_towers_without_a_class_token_are_refused():
    model = tiny_clip()
    model.visual.pool_type = "avg"
    with pytest.raises(InputError, match="'mean-pooled' pools differently"):
        OpenCLIPBackbone(model, TOKENIZER, name="mean-pooled")
    model.visual = torch.nn.Linear(2, 2)
    with pytest.raises(InputError, match="is a Linear"):
        OpenCLIPBackbone(model, TOKENIZER, name="linear")
