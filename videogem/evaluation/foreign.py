"""What other systems give, as a point or a box in [0, 1]: lists of detectors, text of models.

A line of a predictions file may hold, instead of ``point`` and ``box``:

* ``boxes`` and ``scores``, as detectors give them: the box of the highest score counts;
* ``points``, as MolmoPoint's ``extract_image_points`` gives them, ``[[object, image, x, y], ...]``:
  the first counts;
* ``answer``, the text of a model that was asked for a point or a box: Qwen-VL's ``bbox_2d`` and
  ``point_2d``, its ``<|box_start|>(x1,y1),(x2,y2)``, Molmo's ``<point x="1" y="2">``: the first.

``unit`` says what the numbers count: ``pixels`` of the frame (unless said otherwise), ``fraction``,
``percent`` or ``thousandths`` of its sides. An ``answer`` must say, as models of one family differ.
``form`` is ``xyxy`` (unless said otherwise) or ``cxcywh``, centre and size, for boxes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from videogem.structures import Box, Point

UNITS = {"fraction": 1.0, "percent": 100.0, "thousandths": 1000.0}
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_ANSWERS = {  # how many numbers come after each sign
    4: re.compile(
        rf'"bbox(?:_2d)?"\s*:\s*\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]'
        rf"|<\|box_start\|>\({_NUMBER},{_NUMBER}\),\({_NUMBER},{_NUMBER}\)"
    ),
    2: re.compile(
        rf'"point(?:_2d)?"\s*:\s*\[{_NUMBER},{_NUMBER}\]|<points?\s+x1?="{_NUMBER}"\s+y1?="{_NUMBER}"'
    ),
}


def point_and_box(
    row: Mapping[str, Any], size_wh: tuple[int, int]
) -> tuple[Point | None, Box | None]:
    """Point and box of a line, in [0, 1] of the frame; None where the system gave none.

    Raises:
        ValueError: the line is of no known form, or an ``answer`` does not say its unit.
    """
    point, box = row.get("point"), row.get("box")
    if "points" in row:
        point = _first_point(row["points"])
    if "boxes" in row:
        box = _best_box(row["boxes"], row.get("scores"))
    if "answer" in row:
        if "unit" not in row:
            raise ValueError(f"an 'answer' needs a 'unit': pixels, {', '.join(UNITS)}")
        point, box = _read_answer(str(row["answer"]))
    width, height = _sides(row.get("unit", "pixels"), size_wh)
    if box is not None:
        x1, y1, x2, y2 = map(float, box)
        if row.get("form", "xyxy") not in ("xyxy", "cxcywh"):
            raise ValueError(f"'form' must be xyxy or cxcywh, got {row['form']!r}")
        if row.get("form") == "cxcywh":
            x1, y1, x2, y2 = x1 - x2 / 2, y1 - y2 / 2, x1 + x2 / 2, y1 + y2 / 2
        box = x1 / width, y1 / height, x2 / width, y2 / height
    if point is not None:
        x, y = map(float, point)
        point = x / width, y / height
    return point, box


def _sides(unit: object, size_wh: tuple[int, int]) -> tuple[float, float]:
    if unit == "pixels":
        return float(size_wh[0]), float(size_wh[1])
    if unit not in UNITS:
        raise ValueError(f"'unit' must be pixels, {', '.join(UNITS)}; got {unit!r}")
    return UNITS[str(unit)], UNITS[str(unit)]


def _first_point(points: Sequence[Any]) -> Sequence[float | int] | None:
    if not points:
        return None
    first = points[0]
    return (first["x"], first["y"]) if isinstance(first, Mapping) else first[-2:]


def _best_box(
    boxes: Sequence[Any], scores: Sequence[float | int] | None
) -> Sequence[float | int] | None:
    if scores is None and len(boxes) > 1:
        raise ValueError("several 'boxes' need 'scores' to choose by")
    if not boxes:
        return None
    best = max(range(len(boxes)), key=lambda index: scores[index] if scores else 0.0)
    box: Sequence[float | int] = boxes[best]
    return box


def _read_answer(text: str) -> tuple[Sequence[float | int] | None, Sequence[float | int] | None]:
    """The first point or box that a model's text names."""
    found: dict[int, list[float | int]] = {}
    for count, pattern in _ANSWERS.items():
        if match := pattern.search(text):
            found[count] = [float(number) for number in match.groups() if number is not None]
    return found.get(2), found.get(4)
