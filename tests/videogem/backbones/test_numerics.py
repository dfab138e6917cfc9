"""Precision and compiling: what `auto` means, and that both are told before anything is loaded."""

import subprocess
import sys

import pytest
import torch

from videogem.backbones import numerics
from videogem.backbones.numerics import resolve, resolve_compile, resolve_dtype
from videogem.backbones.versions import planned_version
from videogem.errors import InputError


@pytest.fixture
def gpu(monkeypatch):
    """A GPU as torch would tell of it."""
    monkeypatch.setattr(numerics, "has_driver", lambda: True)
    monkeypatch.setattr("videogem.backbones.zoo.pick_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device", lambda _: torch.device("cpu"))
    bf16 = {"it has": True}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16["it has"])
    return bf16


def test_auto_is_full_precision_and_as_written_on_a_cpu():
    assert resolve("auto", "auto", "cpu") == {
        "dtype": "fp32", "compiled": False, "jpeg": "cpu",
    }  # fmt: skip
    assert planned_version(**resolve("auto", "auto", "cpu")) == planned_version()


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_auto_is_bf16_on_a_gpu_that_has_it(gpu, device):
    assert resolve_dtype("auto", device) == "bf16"
    assert resolve_dtype("float32", device) == "fp32"
    assert resolve_compile("off", device) is False
    gpu["it has"] = False
    assert resolve_dtype("auto", device) == "fp32"
    assert resolve_compile("auto", device) is False


def test_auto_compiles_on_a_gpu_with_triton(gpu, monkeypatch):
    monkeypatch.setattr(numerics.importlib.util, "find_spec", lambda name: name)
    assert resolve_compile("auto", "cuda") is True
    monkeypatch.setattr(numerics.importlib.util, "find_spec", lambda name: None)
    assert resolve_compile("auto", "cuda") is False
    assert resolve_compile("on", "cuda") is True


def test_both_are_part_of_the_version():
    versions = {
        planned_version(dtype=dtype, compiled=compiled)
        for dtype in ("fp32", "bf16")
        for compiled in (False, True)
    }
    assert len(versions) == 4


def test_unknown_choices_are_told():
    with pytest.raises(InputError, match="auto, float32, bfloat16, got 'half'"):
        resolve_dtype("half", "cpu")
    with pytest.raises(InputError, match="auto, on, off, got 'yes'"):
        resolve_compile("yes", "cpu")


def test_without_a_driver_torch_is_not_imported():
    code = (
        "import sys; from videogem.backbones import numerics; numerics.has_driver = lambda: False;"
        "print(numerics.resolve('auto', 'auto', 'auto'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'dtype': 'fp32', 'compiled': False, 'jpeg': 'cpu'} False"
