"""What stands in a dataset's files is a box, or is told."""

import math
from pathlib import Path

import numpy as np
import pytest

from videogem.datasets.files import pixel_box
from videogem.datasets.registry import read_dataset
from videogem.errors import InputError


@pytest.mark.parametrize(
    "values",
    [
        [[1], 2, 3, 4],
        [{}, 2, 3, 4],
        ["1", 2, 3, 4],
        [None, 2, 3, 4],
        [True, 2, 3, 4],
        [math.nan, 2, 3, 4],
        [-math.inf, 2, 3, 4],
        [10**400, 2, 3, 4],
        [1, 2, 3],
        [],
        "1234",
        {"x": 1},
        7,
        None,
    ],
    ids=repr,
)
def test_what_is_no_box_is_told(values):
    with pytest.raises(ValueError, match="a box must be four"):
        pixel_box(values)


@pytest.mark.parametrize("values", [[1, 2.5, 3, 4], (1, 2.5, 3, 4), np.array([1, 2.5, 3, 4])])
def test_four_numbers_are_a_box(values):
    assert pixel_box(values) == (1.0, 2.5, 3.0, 4.0)


@pytest.mark.parametrize("levels", [65, 300, 100_000])
def test_lists_in_lists_without_end_are_told_in_words(tmp_path: Path, levels: int) -> None:
    """Whatever walks through such a file would run out of stack."""
    path = tmp_path / "export.json"
    nested = "[" * levels + '"cut it"' + "]" * levels
    path.write_text('[{"id": 1, "data": {"narration": ' + nested + '}, "annotations": []}]')
    with pytest.raises(InputError, match="nested more than 64 deep"):
        read_dataset("labelstudio", tmp_path)
