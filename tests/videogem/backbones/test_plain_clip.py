"""CLIP written out, against open_clip's own classes and tokenizer."""

from copy import deepcopy
from typing import Any

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.towers import TEXT, TINY_CONFIG, VISION, tiny_clip
from videogem.backbones.architectures import why_unreadable
from videogem.backbones.families.open_clip import build_model
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.plain_clip import PlainCLIP, is_plain, make_tokenizer
from videogem.method.settings import AttentionSettings

OWN = make_tokenizer(32)
THEIRS = open_clip.SimpleTokenizer(context_length=32)
PLAIN = [
    name
    for name in open_clip.list_models()
    if why_unreadable(config := open_clip.get_model_config(name)) is None and is_plain(config)
]


def twins(*, quick_gelu: bool) -> tuple[PlainCLIP, open_clip.CLIP]:
    theirs = tiny_clip(quick_gelu=quick_gelu)
    own = PlainCLIP(24, VISION, TEXT, quick_gelu=quick_gelu).eval()
    own.load_state_dict(theirs.state_dict())
    return own, theirs


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_both_towers_are_open_clips_to_the_last_bit(quick_gelu) -> None:
    own, theirs = twins(quick_gelu=quick_gelu)
    pixels = torch.randn(3, 3, 64, 64)
    tokens = torch.randint(1, TEXT["vocab_size"] - 2, (5, TEXT["context_length"]))
    with torch.inference_mode():
        assert torch.equal(own.encode_image(pixels), theirs.encode_image(pixels))
        assert torch.equal(own.encode_text(tokens), theirs.encode_text(tokens))


def test_the_walk_reads_the_same_from_both() -> None:
    pixels = torch.randn(2, 3, 64, 64)
    own, theirs = (OpenCLIPBackbone(model, THEIRS, name="tiny") for model in twins(quick_gelu=True))
    tokens = [b.encode_frames(pixels, AttentionSettings(baselines=True)) for b in (own, theirs)]
    for name in ("terms", "class_path", "second", "output", "values", "value_value"):
        assert torch.equal(*(getattr(found, name) for found in tokens)), name
    texts = ["cut the tomato", "a b c d e f"]
    assert torch.equal(own.encode_texts(texts), theirs.encode_texts(texts))


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_texts_become_open_clips_token_ids(texts: list[str]) -> None:
    assert torch.equal(OWN(texts), THEIRS(texts))


@pytest.mark.parametrize("name", PLAIN)
def test_every_plain_architecture_has_open_clips_parts(name: str) -> None:
    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        own, theirs = build_model(deepcopy(config)), open_clip.CLIP(**deepcopy(config))
    assert isinstance(own, PlainCLIP)

    def shapes(model: torch.nn.Module) -> dict[str, Any]:
        return {key: tensor.shape for key, tensor in model.state_dict().items()}

    def heads(model: Any) -> list[int]:
        towers = (model.visual.transformer, model.transformer)
        return [block.attn.num_heads for tower in towers for block in tower.resblocks]

    assert (shapes(own), heads(own)) == (shapes(theirs), heads(theirs))


def test_openais_architectures_are_plain() -> None:
    assert {"ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-B-16-quickgelu"} <= {*PLAIN}


@pytest.mark.parametrize(
    ("part", "more"),
    [
        ("vision_cfg", {"ls_init_value": 0.1}),
        ("vision_cfg", {"no_ln_pre": True}),
        ("text_cfg", {"no_causal_mask": True}),
        ("text_cfg", {"hf_tokenizer_name": "x/y"}),
        (None, {"custom_text": True}),
        (None, {"init_logit_bias": -10}),
    ],
)
def test_what_asks_for_more_is_left_to_open_clip(part: str | None, more: dict[str, Any]) -> None:
    config: dict[str, Any] = deepcopy(TINY_CONFIG)
    (config if part is None else config[part]).update(more)
    assert not is_plain(config)


def test_tokenizers_share_their_tables_but_not_their_length() -> None:
    short, long = make_tokenizer(8), make_tokenizer(77)
    assert short.encoder is long.encoder
    assert short(["cut the tomato"]).shape == (1, 8)
    assert long(["cut the tomato"]).shape == (1, 77)
