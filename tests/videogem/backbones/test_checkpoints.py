"""Checkpoints in the forms people have them, and none that could run code."""

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from tests.towers import tiny_clip, tiny_viclip_config
from videogem.backbones.checkpoints import read_state_dict
from videogem.backbones.families.viclip import load_viclip
from videogem.backbones.family import Wanted
from videogem.backbones.names import ModelName
from videogem.backbones.viclip import ViCLIP
from videogem.backbones.zoo import load_backbone
from videogem.errors import InputError

ON_CPU = Wanted(ModelName("v"), torch.device("cpu"))


@pytest.fixture
def easy_dict(monkeypatch):
    """The class of their training code that ViCLIP's authors pickle beside the tensors."""

    class EasyDict(dict):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            self[name] = value

    EasyDict.__module__, EasyDict.__qualname__ = "utils.easydict", "EasyDict"
    package, module = ModuleType("utils"), ModuleType("utils.easydict")
    module.EasyDict = EasyDict
    monkeypatch.setitem(sys.modules, "utils", package)
    monkeypatch.setitem(sys.modules, "utils.easydict", module)
    return EasyDict


def test_viclips_own_checkpoints_open_without_their_code(tmp_path, easy_dict, monkeypatch):
    torch.manual_seed(0)
    state = ViCLIP(tiny_viclip_config()).state_dict()
    config = easy_dict(scheduler=easy_dict(epochs=3))
    config.lr = 1e-4
    path = tmp_path / "ViCLIP-B_InternVid-FLT-10M.pth"
    torch.save({"model": state, "config": config, "epoch": 3}, path)
    monkeypatch.delitem(sys.modules, "utils.easydict")
    backbone = load_viclip(path, tiny_viclip_config(), ON_CPU)
    assert torch.equal(backbone._vision.proj, state["vision_encoder.proj"])


class Code:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_other_classes_are_not_opened(tmp_path, easy_dict, capsys):
    path = tmp_path / "w.pth"
    torch.save({"model": {"x": torch.zeros(1)}, "config": easy_dict(a=Code())}, path)
    with pytest.raises(InputError, match="could run code; convert it to safetensors"):
        read_state_dict(path)
    path.write_bytes(pickle.dumps(Code(), protocol=2))
    with pytest.raises(InputError, match="could run code"):
        read_state_dict(path)
    assert capsys.readouterr().out == ""


class Command:
    """What a stranger's file may hold: unpickled, it would run."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self._marker),)


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "among tensors"])
def test_a_pickle_that_runs_code_is_refused_unopened(tmp_path, wrapped):
    path, marker = tmp_path / "weights.pt", tmp_path / "was run"
    if wrapped:
        torch.save({"weight": torch.zeros(2), "extra": Command(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Command(marker), protocol=2))
    with pytest.raises(InputError, match="could run code; convert it to safetensors"):
        read_state_dict(path)
    assert not marker.exists()


def test_pickled_tensors_load_and_other_pickles_do_not(checkpoint):
    weights = checkpoint.with_suffix(".pt")
    torch.save(tiny_clip().state_dict(), weights)
    assert load_backbone(str(weights), device="cpu").num_blocks == 8

    class Code:
        def __reduce__(self):
            return (print, ("this must never run",))

    weights.write_bytes(pickle.dumps(Code(), protocol=2))
    with pytest.raises(InputError, match="could run code; convert it to safetensors"):
        load_backbone(str(weights), device="cpu")


def test_damaged_and_foreign_files_are_told(checkpoint):
    state = tiny_clip(layers=7).state_dict()
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"missing 'visual.transformer.resblocks.7.*' \(and"):
        load_backbone(str(checkpoint), device="cpu")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        load_backbone(str(checkpoint), device="cpu")
    checkpoint.unlink()
    with pytest.raises(InputError, match="There is no weights file"):
        load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_checkpoints_load_into_full_precision(checkpoint, dtype):
    state = {key: value.to(dtype) for key, value in tiny_clip().state_dict().items()}
    save_file(state, checkpoint)
    backbone = load_backbone(str(checkpoint), device="cpu")
    assert {value.dtype for value in backbone._visual.state_dict().values()} == {torch.float32}
    assert torch.equal(backbone._visual.proj, state["visual.proj"].float())


def test_quantised_checkpoints_are_refused(checkpoint):
    """Cast to floats they would load, and point anywhere."""
    state = tiny_clip().state_dict()
    state["visual.proj"] = (100 * state["visual.proj"]).to(torch.int8)
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"'visual.proj' as whole numbers .*int8"):
        load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_finite_numbers_are_refused(checkpoint, dtype, value):
    """They would load, and every point be the same one."""
    state = {key: value.to(dtype) for key, value in tiny_clip().state_dict().items()}
    state["visual.proj"][1, 2] = value
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"'visual.proj' with values that are no finite numbers"):
        load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize("value", [0.0, 0.02])
def test_weights_that_were_never_filled_are_refused(checkpoint, value):
    state = {key: torch.full_like(old, value) for key, old in tiny_clip().state_dict().items()}
    save_file(state, checkpoint)
    with pytest.raises(InputError, match=r"holds nothing learned"):
        load_backbone(str(checkpoint), device="cpu")


def test_parts_that_begin_at_zero_are_taken(checkpoint):
    state = tiny_clip().state_dict()
    state["positional_embedding"].zero_()
    save_file(state, checkpoint)
    load_backbone(str(checkpoint), device="cpu")


@pytest.mark.parametrize(
    ("odd", "form"),
    [(3, "int"), ([1.0], "list"), (torch.eye(3).to_sparse(), "torch.sparse_coo"), (None, "None")],
)
@pytest.mark.parametrize("key", ["visual.proj", "logit_scale"])
@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_weights_that_are_no_plain_tensors_are_refused(checkpoint, odd, form, key):
    path = checkpoint.with_suffix(".pt")
    torch.save(tiny_clip().state_dict() | {key: odd}, path)
    name = str(checkpoint).replace(checkpoint.name, path.name)
    with pytest.raises(InputError, match=rf"'{key}' in a form without plain values \(.*{form}"):
        load_backbone(name, device="cpu")
