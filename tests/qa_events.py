"""Webhook payloads for the quality tests: recorded ones and small made ones."""

import json
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "data" / "recordings"
CREATED = "2026-11-23T00:00:00.000000Z"


def recorded(name: str) -> list[dict[str, Any]]:
    """The webhook bodies of one recording."""
    recording = json.loads((RECORDINGS / f"{name}.json").read_text())
    return [exchange["request"]["json"] for exchange in recording["exchanges"]]


def all_recorded() -> list[dict[str, Any]]:
    names = sorted(path.stem for path in RECORDINGS.glob("webhook_*.json"))
    return [body for name in names for body in recorded(name)]


def point(x: float, y: float, *, id: str = "kp", label: str = "action", **extra: Any) -> dict:
    value = {"x": x, "y": y, "width": 1.5, "keypointlabels": [label]}
    return _region("keypointlabels", "kp", id, value, extra)


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    id: str = "box",
    label: str = "action",
    rotation: float = 0,
    **extra: Any,
) -> dict:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation}
    return _region("rectanglelabels", "box", id, {**value, "rectanglelabels": [label]}, extra)


def track(keys: list[dict[str, Any]], *, id: str = "track", label: str = "action") -> dict:
    value = {"sequence": keys, "labels": [label], "framesCount": 100, "duration": 4}
    return _region("videorectangle", "vbox", id, value, {"to_name": "video"})


def prediction(regions: list[dict], *, id: int | None = None, version: str = "m1") -> dict:
    made = {"result": regions, "model_version": version, "score": 0.8}
    return made if id is None else {"id": id, "created_at": CREATED, **made}


def annotation(
    id: int,
    regions: list[dict],
    *,
    task: int = 1,
    project: int = 1,
    second: int = 1,
    **extra: Any,
) -> dict[str, Any]:
    return {
        "id": id,
        "result": regions,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": CREATED,
        "updated_at": f"2026-11-23T00:{second // 60:02d}:{second % 60:02d}.000000Z",
        "lead_time": 5.0,
        "prediction": {},
        "task": task,
        "project": project,
        "completed_by": 1,
        "parent_prediction": None,
        **extra,
    }


def created(item: dict, action: str = "ANNOTATION_CREATED", **data: Any) -> dict[str, Any]:
    task = {"id": item["task"], "project": item["project"], "created_at": CREATED}
    return {
        "action": action,
        "annotation": item,
        "project": {"id": item["project"], "title": "kitchen"},
        "task": {**task, "updated_at": CREATED, "data": {"narration": "cut the onion", **data}},
    }


def deleted(*ids: int, project: int = 1) -> dict[str, Any]:
    return {
        "action": "ANNOTATIONS_DELETED",
        "annotations": [{"id": i} for i in ids],
        "project": {"id": project},
    }


def _region(kind: str, control: str, id: str, value: dict, extra: dict) -> dict[str, Any]:
    return {
        "id": id,
        "type": kind,
        "from_name": control,
        "to_name": "frame",
        "original_width": 640,
        "original_height": 360,
        "image_rotation": 0,
        "value": value,
        **extra,
    }
