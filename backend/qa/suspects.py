"""The store's annotations as items of the audit, and the ranked list with links to the tasks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from backend.labeling.forms import types_of
from backend.labeling.shapes import number
from backend.qa.audit import Suspect, find_suspects
from backend.qa.audit_items import Item
from backend.qa.events import Row
from backend.qa.regions import Region, bounds, read_regions
from backend.qa.words import words_of
from videogem.structures import Box, Point

Frames = list[tuple[int, list[Region]]]  # the boxes of each frame of an annotation


def audit_items(
    tasks: Sequence[Row], annotations: Sequence[Row], scores: Sequence[Row]
) -> list[Item]:
    """One item per annotation and frame, in pixels; skipped annotations have none."""
    words = {(task.get("server", ""), task["id"]): words_of(task["data"]) for task in tasks}
    by_annotation: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in scores:
        by_annotation[row.get("server", ""), row["annotation_id"]].append(row)
    kept = [a for a in annotations if not a["was_cancelled"] and a["deleted_at"] is None]
    items: list[Item] = []
    for annotation in kept:
        frames = _frames(annotation)
        rows = by_annotation.get(_key(annotation), [])
        about = words.get(_task_key(annotation))
        empty = None if frames else _emptied(annotation, rows, about)
        if empty is not None:
            items.append(empty)
        for index, boxes in frames:
            predicted = [r for r in rows if r.get("item", 0) == index]
            items.append(_item(annotation, index, boxes, predicted, rows, about))
    return items


def suspects(items: Sequence[Item], weights: Mapping[str, float] | None = None) -> list[Row]:
    """Suspect annotations, worst first, each with all its reasons; see ``find_suspects``."""
    rows: dict[str, Row] = {}
    for suspect in find_suspects(items, weights):
        annotation, index, server = suspect.id.split(":", 2)
        row = rows.setdefault(
            suspect.id,
            {
                "server": server,
                "annotation_id": int(annotation),
                "item": int(index),
                "reasons": [],
            },
        )
        row["reasons"].append(_reason(suspect))
    return list(rows.values())


def _key(annotation: Row) -> tuple[str, int]:
    return annotation.get("server", ""), annotation["id"]


def _task_key(annotation: Row) -> tuple[str, int]:
    return annotation.get("server", ""), annotation["task_id"]


def _reason(suspect: Suspect) -> Row:
    return {
        "reason": suspect.reason,
        "severity": round(suspect.severity, 3),
        "detail": suspect.detail,
    }


def _frames(annotation: Row) -> Frames:
    """The boxes of each canvas of an annotation; a track gives its first key's box."""
    canvases: dict[int, list[Region]] = defaultdict(list)
    for region in read_regions(annotation["result"], types_of("box", "track")):
        canvases[region.canvas[1]].append(region)
    return sorted(canvases.items())


def _emptied(annotation: Row, rows: Sequence[Row], about: Any) -> Item | None:
    """The item of an annotation that has no region although some were predicted."""
    predicted = [r for r in rows if r.get("place") is not None and "compared" not in r]
    if not predicted or read_regions(annotation["result"]):
        return None
    first = predicted[0]
    item, size = first.get("item", 0), first["size"]
    return Item(
        id=f"{annotation['id']}:{item}:{annotation.get('server', '')}",
        boxes=(),
        size_wh=(size[0], size[1]),
        annotator=None if annotation["annotator"] is None else str(annotation["annotator"]),
        accepted=False,
        lead_time=number(annotation["lead_time"]),
        track=about.video or None if about else None,
        time=about.time if about else None,
        emptied=len(predicted),
        task=f"{annotation['task_id']}:{item}:{annotation.get('server', '')}",
    )


def _item(
    annotation: Row,
    index: int,
    regions: Sequence[Region],
    predicted: Sequence[Row],
    rows: Sequence[Row],
    about: Any,
) -> Item:
    size = regions[0].size_wh
    points = [r for r in predicted if r["kind"] == "point" and r.get("hit") is not None]
    points = points or [r for r in predicted if r.get("stand_in")]
    boxes = [r for r in predicted if r["kind"] == "box" and r["outcome"] != "added"]
    verdict = next((r["outcome"] for r in rows if r["kind"] == "annotation"), None)
    label = next((r.label for r in regions if r.label), None)
    frame = regions[0].keys[0].frame if regions[0].keys else None
    return Item(
        id=f"{annotation['id']}:{index}:{annotation.get('server', '')}",
        boxes=tuple(_pixels(region, size) for region in regions),
        size_wh=size,
        annotator=None if annotation["annotator"] is None else str(annotation["annotator"]),
        label=label,
        point=_point(points[0], size) if points else None,
        predicted_box=_scaled(boxes[0]["box"], size) if boxes else None,
        predicted_label=boxes[0]["label"] if boxes else None,
        narration=about.narration if about else None,
        score=points[0].get("score") if points else None,
        accepted={"accepted": True, "edited": False}.get(str(verdict)),
        lead_time=number(annotation["lead_time"]),
        track=about.video or None if about else None,
        time=about.time if about and about.time is not None else frame,
        task=f"{annotation['task_id']}:{index}:{annotation.get('server', '')}",
    )


def _pixels(region: Region, size: tuple[float, float]) -> Box:
    return _scaled(bounds(region.keys[0].corners if region.keys else region.corners), size)


def _scaled(box: Sequence[float], size: tuple[float, float]) -> Box:
    return box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1]


def _point(row: Row, size: tuple[float, float]) -> Point:
    if "point" in row:
        return row["point"][0] * size[0], row["point"][1] * size[1]
    x1, y1, x2, y2 = row["box"]
    return (x1 + x2) / 2 * size[0], (y1 + y2) / 2 * size[1]
