"""Folders of datasets as their authors publish them, cut down."""

import json
import shutil
from pathlib import Path

from PIL import Image

SAMPLES = Path(__file__).parents[2] / "data/annotations"


def picture(path: Path, size=(640, 480), color=(9, 99, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def root_with(tmp_path: Path, *names: str) -> Path:
    for name in names:
        shutil.copy(SAMPLES / name, tmp_path / name)
    return tmp_path


def write_jsonl(root: Path, *rows: dict | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (root / "annotations.jsonl").write_text("\n".join(lines) + "\n")
    return root
