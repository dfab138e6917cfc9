"""The video tower's walk against its own forward pass, and its checkpoints."""

import pytest
import torch
from safetensors.torch import save_file

from tests.towers import tiny_viclip_backbone, tiny_viclip_config
from videogem.backbones.base import fit_clip
from videogem.backbones.families.viclip import load_viclip
from videogem.backbones.family import Wanted
from videogem.backbones.names import ModelName
from videogem.backbones.viclip import VICLIP_B_16, VICLIP_L_14, ViCLIP
from videogem.errors import InputError
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

ON_CPU = Wanted(ModelName("tiny"), torch.device("cpu"))


def test_ordinary_path_is_encode_video():
    backbone = tiny_viclip_backbone()
    video = torch.randn(2, 4, 3, 64, 64)
    tokens = backbone.encode_frames(video, AttentionSettings())
    assert tokens.grid == (4, 4, 4)
    with torch.inference_mode():
        expected = backbone._model.encode_video(video)
    torch.testing.assert_close(
        backbone.project(tokens.class_path[-1]), expected, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("scope", ["all", "patches", "official-eval"])
@pytest.mark.parametrize("target", [0, 3])
def test_the_rows_of_one_frame_are_those_of_all_frames(scope, target):
    backbone = tiny_viclip_backbone()
    video = torch.randn(2, 4, 3, 64, 64)
    settings = AttentionSettings(scope=scope, baselines=True)
    every = backbone.encode_frames(video, settings)
    alone = backbone.encode_frames(video, settings, target=target)
    assert alone.grid == (4, 4, 1)
    rows = [0, *range(1 + target, 65, 4)]
    for name, tensor in every.tensors.items():
        expected = tensor if name == "class_path" else tensor[..., rows, :]
        torch.testing.assert_close(alone.tensors[name], expected, atol=1e-5, rtol=1e-5)
    assert alone.num_bytes < every.num_bytes / 3


def test_frame_is_the_fastest_axis_of_the_tokens():
    backbone = tiny_viclip_backbone()
    video = torch.zeros(1, 4, 3, 64, 64)
    changed = video.clone()
    changed[0, 2, :, 16:32, 48:64] = 1.0  # frame 2, patch row 1, column 3
    vision = backbone._vision
    with torch.inference_mode():
        difference = (vision.embed(video)[0] - vision.embed(changed)[0]).abs().sum(-1)[0]
    assert difference.nonzero().flatten().tolist() == [1 + (1 * 4 + 3) * 4 + 2]


@pytest.mark.parametrize(
    ("config", "millions"), [(VICLIP_B_16, 149.6), (VICLIP_L_14, 427.6)], ids=["B/16", "L/14"]
)
def test_published_sizes(config, millions):
    """The image towers are CLIP's plus a temporal table; CLIP B/16 has 149.6 M, L/14 427.6 M."""
    with torch.device("meta"):
        model = ViCLIP(config)
    temporal = model.vision_encoder.temporal_positional_embedding.numel()
    shorter_text = (77 - 32) * config.text_width
    count = sum(p.numel() for p in model.parameters()) - temporal + shorter_text
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "module", None])
def test_checkpoints_load_in_every_wrapping(tmp_path, wrapper):
    model = ViCLIP(tiny_viclip_config())
    state = model.state_dict()
    path = tmp_path / "weights.pth"
    torch.save(state if wrapper is None else {wrapper: state}, path)
    loaded = load_viclip(path, tiny_viclip_config(), ON_CPU)
    assert torch.equal(loaded._vision.proj, model.vision_encoder.proj)


def test_partial_checkpoints_name_the_first_keys(tmp_path):
    state = ViCLIP(tiny_viclip_config()).state_dict()
    state["vision_encoder.extra"] = torch.zeros(1)
    del state["vision_encoder.proj"], state["temp"]
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    with pytest.raises(InputError, match=r"missing 'temp' \(and 1 more\); unexpected 'vision_enc"):
        load_viclip(path, tiny_viclip_config(), ON_CPU)


def test_short_clips_repeat_their_ends_and_stills_fill_the_window(random_frame):
    still = fit_clip(Clip.from_image(random_frame), 8)
    assert still.frames.shape == (8, 60, 90, 3)
    assert still.target == 4
    assert (still.frames == random_frame).all()
    assert fit_clip(still, 1).frames.shape[0] == 1
