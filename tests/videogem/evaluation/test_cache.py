"""What is kept between runs is never used for other weights, settings or pictures."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.towers import TINY_CONFIG, tiny_backbone, tiny_clip, tiny_viclip_backbone, write_config
from videogem.backbones import zoo
from videogem.backbones.family import set_precision
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.datasets.base import Item
from videogem.evaluation.cache import TokenFiles
from videogem.evaluation.methods import parse_method
from videogem.evaluation.run import RunOptions, run
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

OTHER_ATTENTION = {
    "depth": 6,
    "iterations": 2,
    "inverse_temperature": 15.0,
    "scope": "patches",
    "baselines": True,
}


@pytest.fixture
def frames(random_frame):
    return np.stack([np.roll(random_frame, 3 * shift, axis=0) for shift in range(4)])


def place(tmp_path, backbone, clip, settings=None):
    """Where the tokens of a clip are kept."""
    return TokenFiles(tmp_path, backbone.fingerprint)._path(clip, settings or AttentionSettings())


def rebuilt(*, image_size=None, pictures=None, quick_gelu=False, change=None, dtype="fp32"):
    """`tiny_backbone` with one thing changed."""
    model = tiny_clip(quick_gelu=quick_gelu)
    if change is not None:
        with torch.no_grad():
            change(model)
    model.visual.preprocess_cfg = pictures or {}
    set_precision(model.visual, dtype)
    return OpenCLIPBackbone(model, lambda texts: texts, name="tiny", image_size=image_size)


def halve_heads(model):
    model.visual.transformer.resblocks[0].attn.num_heads = 1


CHANGED = {
    "another weight": {"change": lambda model: model.visual.ln_pre.bias.add_(1e-3)},
    "another position": {"change": lambda model: model.visual.positional_embedding.mul_(2)},
    "heads": {"change": halve_heads},
    "input size": {"image_size": 96},
    "mean": {"pictures": {"mean": (0.5, 0.5, 0.5)}},
    "std": {"pictures": {"std": (0.5, 0.5, 0.5)}},
    "filter": {"pictures": {"interpolation": "bilinear"}},
    "activation": {"quick_gelu": True},
    "precision": {"dtype": "bf16"},
}


def test_the_key_of_kept_tokens_moves_with_everything_that_changes_them(tmp_path, frames):
    clip = Clip.from_image(frames[0])
    base = place(tmp_path, rebuilt(), clip)
    assert place(tmp_path, rebuilt(image_size=64), clip) == base  # the size it has anyway
    places = {what: place(tmp_path, rebuilt(**change), clip) for what, change in CHANGED.items()}
    assert OTHER_ATTENTION.keys() == {field.name for field in fields(AttentionSettings)}
    for name, value in OTHER_ATTENTION.items():
        settings = replace(AttentionSettings(), **{name: value})
        places[name] = place(tmp_path, rebuilt(), clip, settings)
    places["pixels"] = place(tmp_path, rebuilt(), Clip.from_image(frames[1]))
    assert len({base, *places.values()}) == 1 + len(places)


def test_the_key_of_a_video_moves_with_its_frames_and_target(tmp_path, frames):
    backbone = tiny_viclip_backbone()
    clip = Clip(frames, np.arange(4.0), np.arange(4), target=2, fps=1.0)
    others = [replace(clip, target=1), replace(clip, frames=frames[::-1].copy())]
    assert len({place(tmp_path, backbone, each) for each in [clip, *others]}) == 3


def items(frames):
    return [
        Item(
            id=str(index), video="v", narration="cut tomato", label="cut",
            boxes=((0.1, 0.1, 0.6, 0.6),), size_wh=(90, 60), style="label", image=frame,
        )
        for index, frame in enumerate(frames)
    ]  # fmt: skip


def test_another_input_size_is_not_answered_from_the_cache(tmp_path, frames, monkeypatch):
    monkeypatch.setattr(
        zoo, "load_backbone", lambda *_, image_size, **__: tiny_backbone(image_size=image_size)
    )

    def outcomes(size, cache):
        options = RunOptions("cpu", image_size=size, tokens_folder=cache)
        return run("d", items(frames), ["demo"], [parse_method("gem")], options).rows[0].outcomes

    cached = [outcomes(size, tmp_path) for size in (64, 96)]
    assert cached == [outcomes(size, None) for size in (64, 96)]
    assert cached[0] != cached[1]


def test_two_models_of_one_file_name_have_two_rows(tmp_path, frames):
    """Both checkpoints are called alike and have the same size, as people's have."""
    models = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        write_config(folder, TINY_CONFIG)
        save_file(tiny_clip(seed=seed).state_dict(), folder / "open_clip_model.safetensors")
        models.append(str(folder / "open_clip_model.safetensors"))
    specs = [parse_method("videogem")]
    out = tmp_path / "out"
    together = run("d", items(frames), models, specs, RunOptions("cpu", predictions_folder=out))
    assert len(list(out.iterdir())) == 2
    apart = [run("d", items(frames), [model], specs, RunOptions("cpu")) for model in models]
    assert [row.outcomes for row in together.rows] == [one.rows[0].outcomes for one in apart]
    ious = [row.box_iou for row in together.rows]
    assert ious[0] != ious[1]
