"""What other systems give, as a point or a box in [0, 1]: lists of detectors, text of models.

A line of a predictions file may hold, instead of ``point`` and ``box``:

* ``boxes`` and ``scores``, as detectors give them: the box of the highest score counts;
* ``points``, as MolmoPoint's ``extract_image_points`` gives them, ``[[object, image, x, y], ...]``:
  the first counts;
* ``answer``, the text of a model that was asked for a point or a box, or the JSON it was parsed to:
  Qwen-VL's ``bbox_2d`` and ``point_2d``, its ``<|box_start|>(x1,y1),(x2,y2)`` or ``<box>``, Molmo's
  ``<point x="1" y="2">``: the first. Spaces, kinds of quotes and the order of attributes do not
  matter. A text that names numbers in another way is refused, one that names none is a miss.

``unit`` says what the numbers count: ``pixels`` of the frame (unless said otherwise), ``fraction``,
``percent`` or ``thousandths`` of its sides. An ``answer`` must say, as models of one family differ.
``form`` is ``xyxy`` (unless said otherwise) or ``cxcywh``, centre and size, for boxes.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from videogem.structures import Box, Point

UNITS = {"fraction": 1.0, "percent": 100.0, "thousandths": 1000.0}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_ONE = rf"[\s\"']*({_NUMBER})[\s\"']*"
_PAIR = rf"\({_ONE},{_ONE}\)"
_BOX = re.compile(
    rf"\bbbox(?:_2d)?[\"']?\s*:\s*\[{_ONE},{_ONE},{_ONE},{_ONE}\]"
    rf"|<(?:\|box_start\||box)>\s*{_PAIR}\s*,\s*{_PAIR}",
    re.IGNORECASE,
)
_POINT = re.compile(
    rf"\bpoint(?:_2d)?[\"']?\s*:\s*\[{_ONE},{_ONE}\]|(<points?\s[^>]*>)", re.IGNORECASE
)
_SIDE = {side: re.compile(rf"\s{side}1?\s*=\s*[\"']?{_ONE}", re.IGNORECASE) for side in "xy"}
_UNREAD = re.compile(
    rf"{_NUMBER}[\"']?[\s,;]+[\"']?(?:[a-z]\w?[\"']?\s*[=:][\s\"']*)?{_NUMBER}", re.IGNORECASE
)
"""Two numbers side by side, or as ``x=1, y=2``: somebody points, but how is not known."""


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
        point, box = _read_answer(row["answer"])
    width, height = _sides(row.get("unit", "pixels"), size_wh)
    if box is not None:
        x1, y1, x2, y2 = _finite(box)
        if row.get("form", "xyxy") not in ("xyxy", "cxcywh"):
            raise ValueError(f"'form' must be xyxy or cxcywh, got {row['form']!r}")
        if row.get("form") == "cxcywh":
            x1, y1, x2, y2 = x1 - x2 / 2, y1 - y2 / 2, x1 + x2 / 2, y1 + y2 / 2
        box = x1 / width, y1 / height, x2 / width, y2 / height
    if point is not None:
        x, y = _finite(point)
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
    boxes: Sequence[Any] | None, scores: Sequence[float | int] | None
) -> Sequence[float | int] | None:
    if not boxes:
        return None
    if scores is None and len(boxes) > 1:
        raise ValueError("several 'boxes' need 'scores' to choose by")
    if scores is not None and len(scores) != len(boxes):
        raise ValueError(f"{len(boxes)} 'boxes' have {len(scores)} 'scores'")
    known = _finite(scores or [0.0])
    box: Sequence[float | int] = boxes[known.index(max(known))]
    return box


def _finite(values: Sequence[float | int]) -> list[float]:
    found = [float(value) for value in values]
    if not all(map(math.isfinite, found)):
        raise ValueError(f"numbers must be finite, got {values}")
    return found


def _read_answer(answer: Any) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """The first point and the first box that a model's text names."""
    if answer is None:
        return None, None
    text = answer if isinstance(answer, str) else json.dumps(answer)
    box = _BOX.search(text)
    point = _POINT.search(text)
    if point is not None and point[3] is not None:
        sides = [_SIDE[side].search(point[3]) for side in "xy"]
        found = [float(side[1]) for side in sides if side is not None]
    else:
        found = [] if point is None else [float(point[1]), float(point[2])]
    if box is None and len(found) < 2 and _UNREAD.search(text):
        raise ValueError(f"this answer names numbers in no form that is known: {text[:80]!r}")
    return (
        found if len(found) == 2 else None,
        None if box is None else [float(number) for number in box.groups() if number is not None],
    )
