"""A new dataset format is one file: found by itself, counted and evaluated on."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import cli
from tests.towers import tiny_backbone
from videogem.backbones import zoo
from videogem.datasets import readers
from videogem.datasets.registry import canonical_name, dataset_readers

TABLE = '''"""Boxes in a table: frame, sentence and the four sides of a box, in pixels."""

import csv

from videogem.datasets.base import Annotation, Annotations, Media, Reader
from videogem.datasets.files import find_file, pixel_box


def read(root, options):
    """Read every line of the one table."""
    path = find_file(root, ("*.csv",), "table of boxes", options.annotations)
    with path.open(newline="") as file:
        entries = tuple(_entry(row) for row in csv.reader(file))
    return Annotations(entries, videos=frozenset(entry.video for entry in entries))


def _entry(row):
    frame, sentence, *sides = row
    box = pixel_box(float(side) for side in sides)
    return Annotation(frame, frame, sentence, sentence.split()[0], (box,), Media(frame=frame))


READERS = (Reader("box-table", "a table of boxes", read, ("bt",)),)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules belong to the readers until the test ends."""
    own = tmp_path / "readers"
    own.mkdir()
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(own)])
    dataset_readers.cache_clear()
    yield own
    monkeypatch.undo()
    dataset_readers.cache_clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = []
    for index, words in enumerate(["cut tomato", "stir soup"]):
        image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"{index}.png")
        lines.append(f"{index}.png,{words},0,0,40,48")
    (tmp_path / "boxes.csv").write_text("\n".join([*lines, "gone.png,fry egg,0,0,4,4"]))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["videogem", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_without_its_file_the_format_is_unknown(monkeypatch, root, capsys) -> None:
    assert run(monkeypatch, "evaluate", "--dataset", "box-table", "--root", root) == 2
    assert "There is no dataset 'box-table'; choose one of demo, daly" in capsys.readouterr().err


def test_a_new_file_is_listed_counted_and_evaluated(monkeypatch, folder, root, capsys) -> None:
    (folder / "box_table.py").write_text(TABLE)
    assert canonical_name("Box_Table") == canonical_name("BT") == "box-table"

    assert run(monkeypatch, "datasets") == 0
    assert "box-table         a table of boxes\n" in capsys.readouterr().out

    assert run(monkeypatch, "datasets", "box-table", "--root", root, "--json") == 0
    counted = json.loads(capsys.readouterr().out)
    assert (counted["items"], counted["usable"]) == (3, 2)
    assert counted["dropped"] == {"no frame": 1}

    monkeypatch.setattr(zoo, "load_backbone", lambda name, **options: tiny_backbone())
    given = ("--dataset", "box-table", "--root", root, "--method", "clip", "--json")
    assert run(monkeypatch, "evaluate", *given) == 0
    assert '"n": 2' in capsys.readouterr().out


def test_two_files_for_one_name_are_refused(folder) -> None:
    (folder / "one.py").write_text(TABLE)
    (folder / "two.py").write_text(TABLE)
    with pytest.raises(RuntimeError, match="two readers are called boxtable"):
        canonical_name("daly")
