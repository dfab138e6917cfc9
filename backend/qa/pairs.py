"""Scoring any system's predictions against any boxes, from two files of JSON lines.

Rules
    * Lines are joined by ``id`` (1 and "1" are one id). ``n`` counts the ids present on both sides;
      the others are counted as missing and not scored.
    * A point hits when it lies in any box of its id, edges included. No point (null) is a miss.
    * ``mean_iou`` is over the ids with a predicted box, each with the box that fits it best, and 0
      where the annotation has no box. It is null if no prediction has a box.
    * A prediction's id may come once. An annotation's id may come once per ``annotator``; boxes of
      several annotators are all true boxes of the id.
    * Blank lines are passed over; anything else that is not of the form is an error, with its line.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.qa.audit_items import Item
from backend.qa.figures import mean, share
from videogem.errors import InputError
from videogem.metrics import best_iou, hit
from videogem.structures import Box, Point

SHOWN_ERRORS = 5
LARGEST = 1e12  # no coordinate is larger; squares of it are still exact enough


@dataclass(frozen=True)
class Prediction:
    """One line of the predictions file; units are those of the annotations."""

    id: str
    point: Point | None
    box: Box | None
    label: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class Annotation:
    """One line of the annotations file."""

    id: str
    boxes: tuple[Box, ...]
    size_wh: tuple[float, float]
    label: str | None = None
    annotator: str | None = None
    line: int = 0


@dataclass(frozen=True)
class Pair:
    """A prediction and all annotations of its id, scored."""

    id: str
    prediction: Prediction
    annotations: tuple[Annotation, ...]
    hit: bool
    iou: float | None

    @property
    def label(self) -> str | None:
        known = (*(a.label for a in self.annotations), self.prediction.label)
        return next((label for label in known if label), None)


def read_predictions(path: Path) -> dict[str, Prediction]:
    """Predictions by id.

    Raises:
        InputError: a line is not of the form, or an id comes twice; names file and lines.
    """
    found: dict[str, Prediction] = {}
    first: dict[str, int] = {}
    errors = []
    for number, value in _lines(path):
        try:
            prediction = _prediction(value)
            if prediction.id in found:
                raise ValueError(f"id {prediction.id!r} was already on line {first[prediction.id]}")
        except ValueError as error:
            errors.append((number, str(error)))
            continue
        found[prediction.id], first[prediction.id] = prediction, number
    _raise(path, errors)
    return found


def read_annotations(path: Path) -> dict[str, tuple[Annotation, ...]]:
    """Annotations by id, several only if they come from different annotators.

    Raises:
        InputError: as for ``read_predictions``.
    """
    found: dict[str, list[Annotation]] = {}
    errors = []
    for number, value in _lines(path):
        try:
            annotation = _annotation(value, number)
            known = found.setdefault(annotation.id, [])
            for other in known:
                _check_second(other, annotation)
        except ValueError as error:
            errors.append((number, str(error)))
            continue
        known.append(annotation)
    _raise(path, errors)
    return {id: tuple(annotations) for id, annotations in found.items()}


def score_pairs(
    predictions: dict[str, Prediction], annotations: dict[str, tuple[Annotation, ...]]
) -> list[Pair]:
    """The ids present on both sides, scored, in the order of the predictions."""
    pairs = []
    for id, prediction in predictions.items():
        if id not in annotations:
            continue
        boxes = [box for annotation in annotations[id] for box in annotation.boxes]
        inside = prediction.point is not None and hit(prediction.point, boxes)
        iou = None if prediction.box is None else best_iou(prediction.box, boxes)
        pairs.append(Pair(id, prediction, annotations[id], inside, iou))
    return pairs


def figures(
    pairs: Sequence[Pair],
    predictions: dict[str, Prediction],
    annotations: dict[str, tuple[Annotation, ...]],
) -> dict[str, Any]:
    """The figures of ``videogem qa score --json``, without the audit."""
    headline = share(sum(pair.hit for pair in pairs), len(pairs))
    return {
        **headline,
        "mean_iou": mean(pair.iou for pair in pairs)["mean"],
        "missing_predictions": len(annotations.keys() - predictions.keys()),
        "missing_annotations": len(predictions.keys() - annotations.keys()),
    }


def audit_items(
    predictions: dict[str, Prediction], annotations: dict[str, tuple[Annotation, ...]]
) -> list[Item]:
    """All annotations, scored or not, as the audit sees them."""
    items = []
    for id, several in annotations.items():
        prediction = predictions.get(id, Prediction(id, None, None))
        for annotation in several:
            known = prediction.box is not None and bool(annotation.boxes)
            box = prediction.box
            middle = None if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            items.append(
                Item(
                    id=id,
                    boxes=annotation.boxes,
                    size_wh=annotation.size_wh,
                    annotator=annotation.annotator,
                    label=annotation.label,
                    point=prediction.point or middle,
                    predicted_box=prediction.box,
                    predicted_label=prediction.label,
                    score=prediction.score,
                    accepted=annotation.boxes == (prediction.box,) if known else None,
                    task=id,
                )
            )
    return items


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Numbered JSON values; what cannot be parsed comes as the ValueError that says why."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line.decode(), parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            yield number, ValueError(f"not JSON ({error.msg} at column {error.colno})")
        except UnicodeDecodeError:
            yield number, ValueError("not UTF-8 text")
        except (ValueError, RecursionError) as error:
            yield number, ValueError(str(error))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _prediction(value: Any) -> Prediction:
    value = _object(value)
    if "point" not in value and "box" not in value:
        raise ValueError('needs "point" or "box" (null where the system gave none)')
    point, box = value.get("point"), value.get("box")
    return Prediction(
        id=_id(value),
        point=None if point is None else _point(point),
        box=None if box is None else _box(box, '"box"'),
        label=_text(value, "label"),
        score=None if value.get("score") is None else _number(value["score"], '"score"'),
    )


def _annotation(value: Any, line: int) -> Annotation:
    value = _object(value)
    id = _id(value)
    boxes = value.get("boxes")
    if not isinstance(boxes, list):
        raise ValueError(f'"boxes" must be a list of [x1, y1, x2, y2], got {_shown(boxes)}')
    size = _numbers(value.get("size"), 2, '"size" must be [width, height]')
    if min(size) <= 0:
        raise ValueError(f'"size" must be positive, got {_shown(value["size"])}')
    return Annotation(
        id=id,
        boxes=tuple(_box(box, f'box {k} of "boxes"') for k, box in enumerate(boxes, 1)),
        size_wh=(size[0], size[1]),
        label=_text(value, "label"),
        annotator=_text(value, "annotator"),
        line=line,
    )


def _check_second(first: Annotation, second: Annotation) -> None:
    if first.annotator == second.annotator:
        by = f" by annotator {first.annotator!r}" if first.annotator else ""
        raise ValueError(f"id {first.id!r}{by} was already on line {first.line}")
    if first.size_wh != second.size_wh:
        raise ValueError(f"id {first.id!r} has another size than on line {first.line}")


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, ValueError):
        raise value
    if not isinstance(value, dict):
        raise ValueError(f"must be a JSON object, got {_shown(value)}")
    return value


def _id(value: dict[str, Any]) -> str:
    id = value.get("id")
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        raise ValueError(f'"id" must be a text or whole number, got {_shown(id)}')
    return str(id)


def _text(value: dict[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is None:
        return None
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise ValueError(f'"{name}" must be a text, got {_shown(text)}')
    return str(text) or None


def _point(value: Any) -> Point:
    x, y = _numbers(value, 2, '"point" must be [x, y] or null')
    return x, y


def _box(value: Any, name: str) -> Box:
    x1, y1, x2, y2 = _numbers(value, 4, f"{name} must be [x1, y1, x2, y2]")
    return x1, y1, x2, y2


def _numbers(value: Any, count: int, expected: str) -> list[float]:
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{expected}, got {_shown(value)}")
    return [_number(entry, expected) for entry in value]


def _number(value: Any, expected: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return value
    raise ValueError(f"{expected} with finite numbers, got {_shown(value)}")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _raise(path: Path, errors: list[tuple[int, str]]) -> None:
    if not errors:
        return
    shown = "; ".join(f"line {number}: {text}" for number, text in errors[:SHOWN_ERRORS])
    more = len(errors) - SHOWN_ERRORS
    raise InputError(f"{path}: {shown}{f'; and {more} more lines' if more > 0 else ''}.")
