"""The config beside local weights: what of it is heard, and what is told of one that is wrong."""

import json
from copy import deepcopy

import pytest
from safetensors.torch import save_file

from tests.towers import TINY_CONFIG, activation, tiny_clip, write_config
from videogem.backbones.openclip import OPENAI_STD
from videogem.backbones.zoo import load_backbone
from videogem.errors import InputError


def test_a_config_in_the_hubs_form_beside_local_weights(tmp_path):
    path = tmp_path / "open_clip_model.safetensors"
    save_file(tiny_clip(quick_gelu=True).state_dict(), path)
    write_config(tmp_path, TINY_CONFIG | {"quick_gelu": True}, mean=[0.5] * 3, std=[0.25] * 3)
    backbone = load_backbone(str(path), device="cpu")
    assert (backbone._mean, backbone._std) == ((0.5,) * 3, (0.25,) * 3)
    assert activation(backbone) == "QuickGELU"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "must hold a JSON object"),
        ({"embed_dim": 3}, "must be open_clip's, with embed_dim, vision_cfg and text_cfg"),
        ({"vision_cfg": {"image_size": [64, 32]}}, "takes no squares: its image_size is 64 x 32"),
        ({"vision_cfg": {"patch_size": [16, 8]}}, "takes no squares: its patch_size is 16 x 8"),
        ({"vision_cfg": {"pool_type": "avg"}}, "is pooled in another way"),
        ({"vision_cfg": {"attentional_pool": True}}, "is pooled in another way"),
        ({"vision_cfg": {"layers": [3, 4, 6, 3]}}, "is a ResNet"),
        ({"vision_cfg": {"qk_norm": True}}, "more than plain attention"),
        ({"vision_cfg": {"colours": 3}}, "makes no open_clip model.*colours"),
        ({"vision_cfg": {"head_width": 0}}, "makes no open_clip model"),
        ({"text_cfg": {"vocab_size": -1}}, "makes no open_clip model"),
        (
            {"embed_dim": 8, "vision_cfg": None, "text_cfg": {}},
            "must be open_clip's, with embed_dim",
        ),
        ({"embed_dim": 8, "vision_cfg": {}, "text_cfg": []}, "must be open_clip's, with embed_dim"),
        ({"preprocess": {"mean": [0.5]}}, "'mean' in .* must be three numbers"),
        ({"preprocess": {"mean": "0.5"}}, "'mean' in .* must be three numbers"),
        ({"preprocess": {"std": [0.5, 0, 0.5]}}, "'std' in .* must be above 0"),
        ({"preprocess": {"interpolation": "cubicle"}}, "must be one of nearest, .*bicubic"),
        ({"preprocess": [0.5]}, "'preprocess_cfg' in .* must be a JSON object"),
        ({"viclip": {"colours": 3}}, "'viclip' in .* must have the fields embed_dim"),
    ],
)
def test_configs_that_cannot_be_read_are_told(checkpoint, change, message):
    path = checkpoint.parent / "model_config.json"
    config: dict = deepcopy(TINY_CONFIG)
    if isinstance(change, str):
        path.write_text(change)
    elif "embed_dim" in change or "viclip" in change:
        path.write_text(json.dumps(change))
    else:
        for part in ("vision_cfg", "text_cfg"):
            config[part] |= change.get(part, {})
        pictures = change.get("preprocess", {})
        path.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": pictures}))
    with pytest.raises(InputError, match=message):
        load_backbone(str(checkpoint), device="cpu")


def test_one_number_for_all_channels_is_read_as_open_clip_reads_it(checkpoint):
    config = {"model_cfg": TINY_CONFIG, "preprocess_cfg": {"mean": 0.5, "std": None}}
    (checkpoint.parent / "model_config.json").write_text(json.dumps(config))
    backbone = load_backbone(str(checkpoint), device="cpu")
    assert (backbone._mean, backbone._std) == ((0.5,) * 3, OPENAI_STD)
