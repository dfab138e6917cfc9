"""All Triton kernels, however the package was imported."""

import importlib
from pathlib import Path

import pytest

import videogem

pytest.importorskip("triton")

ROOT = Path(videogem.__file__).parent
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in sorted(ROOT.rglob("cuda_*.py"))
]


@pytest.mark.parametrize("name", MODULES)
def test_triton_reads_a_kernel_as_it_is_written(name):
    # Under pytest the package's functions are wrapped to check shapes. Triton looks the names
    # of a kernel up where its function is from: in a wrapper it would find none of them.
    module = importlib.import_module(name)
    kernels = [value for value in vars(module).values() if hasattr(value, "fn")]
    assert kernels or "triton" not in vars(module)
    assert all(kernel.fn.__globals__ is vars(module) for kernel in kernels)
