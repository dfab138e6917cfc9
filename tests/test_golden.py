"""The committed reference numbers, and that the check can fail."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.golden import main

GOLDEN = Path(__file__).parent / "data" / "golden"


def test_reference_numbers_are_met(capsys):
    assert main([str(GOLDEN)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(" ok " in line for line in lines)


@pytest.fixture
def one_case(tmp_path: Path) -> Path:
    """A folder with one case, to be spoilt."""
    for name in ("clip_a.safetensors", "clip_a__native.npz"):
        shutil.copy(GOLDEN / name, tmp_path)
    manifest = json.loads((GOLDEN / "manifest.json").read_text())["clip_a"]
    manifest["cases"] = {"native": manifest["cases"]["native"]}
    (tmp_path / "manifest.json").write_text(json.dumps({"clip_a": manifest}))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "offset"),
    [("text_emb", 3e-5), ("Z", 3e-4), ("s", 3e-5), ("heat_combined", 3e-4), ("argmax_static", 1)],
)
def test_a_difference_past_the_tolerance_fails(one_case, capsys, name, offset):
    path = one_case / "clip_a__native.npz"
    arrays = dict(np.load(path))
    arrays[name].flat[0] += offset
    np.savez(path, **arrays)
    assert main([str(one_case)]) == 1
    assert f"    {name}" in capsys.readouterr().out


def test_an_array_without_a_counterpart_fails(one_case, capsys):
    path = one_case / "clip_a__native.npz"
    np.savez(path, **dict(np.load(path)), surprise=np.zeros(3))
    assert main([str(one_case)]) == 1
    assert "surprise: nothing to compare it with" in capsys.readouterr().out


def test_a_folder_of_another_form_is_told(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "no folder of reference numbers" in capsys.readouterr().err
