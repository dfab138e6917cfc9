"""Checkpoints in the forms people have them, and none that could run code."""

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.towers import tiny_viclip_config
from videogem.backbones.checkpoints import read_state_dict
from videogem.backbones.families.viclip import load_viclip
from videogem.backbones.family import Wanted
from videogem.backbones.names import ModelName
from videogem.backbones.viclip import ViCLIP
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
