"""Predictions in files: our own, kept so that a run can be resumed, and those of other systems.

One JSON object a line, as `videogem qa score` reads it: ``{"id", "point": [x, y] | null,
"box": [x1, y1, x2, y2] | null, "label"?, "score"?}``, in pixels of the item's frame; other systems'
own forms and units are read by ``foreign.py``.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from videogem.datasets.base import Item
from videogem.errors import InputError
from videogem.evaluation import Prediction
from videogem.evaluation.foreign import point_and_box


class PredictionFiles:
    """A folder with one file per dataset and system version; lines are added as they come."""

    def __init__(self, folder: Path, items: Sequence[Item]) -> None:
        self._folder = folder
        self._items = {item.id: item for item in items}

    def path(self, dataset: str, version: str) -> Path:
        return self._folder / f"{_file_name(dataset)}--{_file_name(version)}.jsonl"

    def load(self, dataset: str, version: str) -> dict[str, Prediction]:
        """Predictions of an earlier run; a last line cut short by a kill is left out."""
        path = self.path(dataset, version)
        if not path.is_file():
            return {}
        found: dict[str, Prediction] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                item = self._items.get(row["id"])
                if item is not None and row["item"] == fingerprint(item):
                    found[item.id] = _prediction(row, item.size_wh)
            except (KeyError, TypeError, ValueError, RecursionError):
                continue
        return found

    def add(self, dataset: str, version: str, predictions: Iterable[Prediction]) -> None:
        """Append predictions, whole lines at once."""
        lines = [
            json.dumps({**as_row(prediction, item), "item": fingerprint(item)}) + "\n"
            for prediction in predictions
            for item in [self._items[prediction.id]]
        ]
        path = self.path(dataset, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.tell() and _last_byte(path) != b"\n":  # a kill cut the last line
                file.write(b"\n")
            file.write("".join(lines).encode())


def fingerprint(item: Item) -> str:
    """Changes with everything a system sees of an item, so that no stale prediction is used."""
    seen: list[object] = [item.narration, item.style, item.verb, item.object, item.time, item.step]
    seen += [item.target, item.missing, *map(str, item.window)]
    digest = hashlib.blake2b(repr(seen).encode(), digest_size=8)
    for media in (item.image, item.video_path):
        if isinstance(media, np.ndarray):
            digest.update(media.tobytes())
        elif media is not None:
            status = media.stat()
            digest.update(f"{media.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def as_row(prediction: Prediction, item: Item) -> dict[str, Any]:
    """A prediction in pixels."""
    width, height = item.size_wh
    scale = (width, height, width, height)
    return {
        "id": prediction.id,
        "point": _scaled(prediction.point, scale),
        "box": _scaled(prediction.box, scale),
        "label": item.label,
        "score": prediction.score,
        "size": list(item.size_wh),
    }


def annotation_row(item: Item) -> dict[str, Any]:
    """An item's boxes as `videogem qa score` reads them, with what a foreign system needs."""
    width, height = item.size_wh
    scale = (width, height, width, height)
    row: dict[str, Any] = {
        "id": item.id,
        "boxes": [_scaled(box, scale) for box in item.boxes],
        "size": list(item.size_wh),
        "label": item.label,
        "narration": item.narration,
    }
    if isinstance(item.image, Path):
        row["image"] = str(item.image)
    if item.video_path is not None:
        row |= {"video": str(item.video_path), "time": item.time}
    return row


def read_predictions(path: Path, items: Sequence[Item]) -> dict[str, Prediction]:
    """Predictions of any system for these items, by id; ids of no item are ignored.

    Raises:
        InputError: a line is no prediction, an id comes twice, or no id fits.
    """
    if not path.is_file():
        raise InputError(f"There is no predictions file '{path}'.")
    sizes = {item.id: item.size_wh for item in items}
    found: dict[str, Prediction] = {}
    num_lines = 0
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error}); save it as that.") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        num_lines += 1
        try:
            row = json.loads(line)
            id_ = str(row["id"])
            prediction = None if id_ not in sizes else _prediction(row, sizes[id_])
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"'{path}' line {number} is no prediction ({error!r}); expected "
                f'{{"id", "point": [x, y] or null, "box": [x1, y1, x2, y2] or null}} in pixels, or '
                f"a form that docs/reproduce.md names."
            ) from error
        if id_ in found:
            raise InputError(f"'{path}' line {number} predicts '{id_}' a second time.")
        if prediction is not None:
            found[id_] = prediction
    if not found:
        some = ", ".join(f"'{id_}'" for id_ in list(sizes)[:3])
        raise InputError(
            f"None of the {num_lines} predictions in '{path}' is for an item of the dataset, whose "
            f"ids are like {some}; `videogem datasets NAME --root DIR --items FILE` lists them."
        )
    return found


def _prediction(row: Mapping[str, Any], size_wh: tuple[int, int]) -> Prediction:
    point, box = point_and_box(row, size_wh)
    score = row.get("score")
    return Prediction(str(row["id"]), point, box, None if score is None else float(score))


def _scaled(values: Sequence[float | int] | None, scale: Sequence[int]) -> list[float] | None:
    return None if values is None else [v * s for v, s in zip(values, scale, strict=False)]


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+@=-]+", "_", text)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)
