"""The rows of a bulk run: one for every sentence that was grounded at one moment.

docs/bulk.md says what each field means; a test holds that it names all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.bulk.units import Ask
from videogem.confidence.shipped import UNCALIBRATED
from videogem.structures import PROMPT_NAMES, Box, Clip, Grounding, Point, Prompts, Signals

if TYPE_CHECKING:
    import pyarrow

Row = dict[str, Any]

DIGITS = 2  # of a pixel, as `videogem ground` writes it
SCORE_DIGITS = 4
FIELDS = (
    "id", "source", "narration", "start", "end", "time", "frame_index", "size", "point", "box",
    "score", "verb", "object", "prompts", "points", "method", "model_version", "task",
    "item_index", "duration", "scoring", "presence", "signals",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Read:
    """A moment that was read: what is asked about it, and its frames."""

    source: str
    ask: Ask
    clip: Clip
    duration: float | None = None


def row_of(read: Read, grounding: Grounding) -> Row:
    """The row of one grounding."""
    width, height = grounding.size_wh
    ask = read.ask
    return {
        "id": ask.id,
        "source": read.source,
        "narration": ask.narration,
        "start": ask.start,
        "end": ask.end,
        "time": round(grounding.time, 6),
        "frame_index": grounding.frame_index,
        "size": [width, height],
        "point": _pixels(grounding.point, width, height),
        "box": _pixels(grounding.box, width, height),
        "score": round(grounding.score, SCORE_DIGITS),
        "verb": grounding.prompts.verb_word,
        "object": grounding.prompts.object_word,
        "prompts": list(grounding.prompts.texts),
        "points": [_pixels(grounding.points[name], width, height) for name in PROMPT_NAMES],
        "method": grounding.method,
        "model_version": grounding.model_version,
        "task": ask.task,
        "item_index": ask.item_index,
        "duration": None if read.duration is None else round(read.duration, 6),
        "scoring": grounding.scoring or UNCALIBRATED,
        "presence": None if grounding.presence is None else round(grounding.presence, SCORE_DIGITS),
        "signals": None if grounding.signals is None else grounding.signals.as_dict(),
    }


def grounding_of(row: Row, version: str, heatmaps: Callable[[], np.ndarray]) -> Grounding:
    """What a row was made of, under the version of whoever takes it; ``heatmaps`` are not in it.

    Raises:
        ValueError, TypeError, KeyError: it is no such row.
    """
    width, height = map(int, row["size"])
    if width < 1 or height < 1:
        raise ValueError("a frame without pixels")
    verb, object_, action = map(str, row["prompts"])
    points = [_fractions(point, width, height, 2) for point in row["points"]]
    x, y = _fractions(row["point"], width, height, 2)
    x1, y1, x2, y2 = _fractions(row["box"], width, height, 4)
    return Grounding.lazily(
        heatmaps,
        narration=row["narration"],
        prompts=Prompts(verb, object_, action, row["verb"], row["object"]),
        points={name: (x, y) for name, (x, y) in zip(PROMPT_NAMES, points, strict=True)},
        point=(x, y),
        box=(x1, y1, x2, y2),
        score=min(max(float(row["score"]), 0.0), 1.0),
        frame_index=int(row["frame_index"]),
        time=float(row["time"]),
        size_wh=(width, height),
        method=str(row["method"]),
        model_version=version,
        signals=_signals(row.get("signals")),
        scoring=None if row.get("scoring") == UNCALIBRATED else row.get("scoring"),
        presence=row.get("presence"),
    )


def _signals(found: Row | None) -> Signals | None:
    """Of a row; rows of versions before had none."""
    return None if found is None else Signals(**found)


def _fractions(values: Sequence[float], width: int, height: int, count: int) -> list[float]:
    sides = (width, height) * (count // 2)
    pairs = zip(values, sides, strict=True)
    return [min(max(float(value) / side, 0.0), 1.0) for value, side in pairs]


def _pixels(values: Point | Box, width: int, height: int) -> list[float]:
    sides = (width, height) * (len(values) // 2)
    return [round(value * side, DIGITS) for value, side in zip(values, sides, strict=True)]


def order(row: Mapping[str, Any]) -> tuple[str, float, str]:
    """Where a row stands in a finished file, whatever the order in which rows were made."""
    return str(row["source"]), float(row["time"]), str(row["id"])


def arrow_schema() -> "pyarrow.Schema":
    """The columns of a Parquet file."""
    import pyarrow as pa

    kinds = {
        "id": pa.string(), "source": pa.string(), "narration": pa.string(),
        "start": pa.float64(), "end": pa.float64(), "time": pa.float64(),
        "frame_index": pa.int64(), "size": pa.list_(pa.int32()), "point": pa.list_(pa.float64()),
        "box": pa.list_(pa.float64()), "score": pa.float64(), "verb": pa.string(),
        "object": pa.string(), "prompts": pa.list_(pa.string()),
        "points": pa.list_(pa.list_(pa.float64())), "method": pa.string(),
        "model_version": pa.string(), "task": pa.int64(), "item_index": pa.int32(),
        "duration": pa.float64(),
        "scoring": pa.string(), "presence": pa.float64(),
        "signals": pa.struct([(field.name, pa.float64()) for field in fields(Signals)]),
    }  # fmt: skip
    return pa.schema([pa.field(name, kinds[name]) for name in FIELDS])
