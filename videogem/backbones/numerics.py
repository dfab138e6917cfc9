"""What ``auto`` means on a device: the precision of the image tower, and whether it is compiled.

Both belong to a model's version, which has to be known before anything is loaded. So torch, whose
import takes seconds, is asked only where a driver of a GPU is installed.
"""

import ctypes
import importlib.util
from pathlib import Path
from typing import Literal, TypedDict, get_args

from videogem.errors import check_choice
from videogem.method.settings import Dtype, JpegDecoder

DtypeChoice = Literal["auto", "float32", "bfloat16"]
CompileChoice = Literal["auto", "on", "off"]


class Numerics(TypedDict):
    """What `planned_version` and `load_grounder` take."""

    dtype: Dtype
    compiled: bool
    jpeg: JpegDecoder


_DTYPES: dict[str, Dtype] = {"float32": "fp32", "bfloat16": "bf16"}
_DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # Linux, Windows
_AMD_DRIVER = Path("/dev/kfd")


def resolve(dtype: str, compiled: str, device: str, jpeg: JpegDecoder = "cpu") -> Numerics:
    """All choices on a device, see `resolve_dtype` and `resolve_compile`."""
    return Numerics(
        dtype=resolve_dtype(dtype, device), compiled=resolve_compile(compiled, device), jpeg=jpeg
    )


def resolve_dtype(choice: str, device: str = "auto") -> Dtype:
    """The precision of the image tower; ``auto`` is bf16 on a GPU that computes in it, else fp32.

    >>> resolve_dtype("auto", "cpu"), resolve_dtype("bfloat16", "cpu")
    ('fp32', 'bf16')

    Raises:
        InputError: there is no such choice, or no such device.
    """
    check_choice("The precision", choice, get_args(DtypeChoice))
    if choice != "auto":
        return _DTYPES[choice]
    return "bf16" if _computes_in_bf16(device) else "fp32"


def resolve_compile(choice: str, device: str = "auto") -> bool:
    """Whether the tower is compiled; ``auto`` is on a GPU, where Triton is there to do it.

    >>> resolve_compile("auto", "cpu"), resolve_compile("on", "cpu")
    (False, True)

    Raises:
        InputError: there is no such choice, or no such device.
    """
    check_choice("Compiling", choice, get_args(CompileChoice))
    if choice != "auto":
        return choice == "on"
    return _computes_in_bf16(device) and importlib.util.find_spec("triton") is not None


def _computes_in_bf16(device: str) -> bool:
    """Whether a tower loaded to this device runs on a GPU with bf16 of its own."""
    if device == "cpu" or (device == "auto" and not has_driver()):
        return False
    import torch

    from videogem.backbones.zoo import pick_device

    picked = pick_device(device)
    if picked.type != "cuda":
        return False
    with torch.cuda.device(picked):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def has_driver() -> bool:
    """Whether torch can find a GPU at all; true also where there is only the driver."""
    return _AMD_DRIVER.exists() or any(map(_loads, _DRIVERS))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
