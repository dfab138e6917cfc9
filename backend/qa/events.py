"""A webhook's payload -> the rows it brings. Pure, and tolerant of every shape Label Studio sends.

The shapes are those of Label Studio 1.23.2: one annotation under ``annotation``; a *list* under the
same singular key for bulk events; deleted annotations and tasks as ids only; nothing but the action
when the payload is switched off.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.database.texts import clean_text
from backend.labeling.shapes import MAX_KEYS, number, thin_keys
from backend.qa.times import normalise

Row = dict[str, Any]
LARGEST_ID = 2**31 - 1  # what the columns hold on every database
MAX_PARTS = 50  # of the rows of one kind
DEEPEST = 60  # levels of a payload; Label Studio's have about ten
REGION_NAMES = ("id", "type", "from_name", "to_name", "origin", "parentID")
SECRETS = ("token", "task_data_login", "task_data_password")
UPDATES = ("ANNOTATION_UPDATED", "PROJECT_UPDATED")
DELETES_ANNOTATIONS = ("ANNOTATIONS_DELETED", "ANNOTATION_DELETED")
DELETES_TASKS = ("TASKS_DELETED", "TASK_DELETED")


@dataclass
class Changes:
    """Rows to merge into the state, and ids that are gone; in the order of merging."""

    projects: list[Row] = field(default_factory=list)
    tasks: list[Row] = field(default_factory=list)
    predictions: list[Row] = field(default_factory=list)
    annotations: list[Row] = field(default_factory=list)
    deleted_annotations: list[int] = field(default_factory=list)
    deleted_tasks: list[int] = field(default_factory=list)

    def parts(self, size: int) -> Iterator["Changes"]:
        """The same, in the order in which they are merged, so many rows at a time; in any case in
        not many more parts than ``MAX_PARTS``, as each may look at all that is of one task.
        """
        for name, rows in vars(self).items():
            step = max(size, len(rows) // MAX_PARTS)
            for start in range(0, len(rows), step):
                yield Changes(**{name: rows[start : start + step]})


def read_event(payload: object, received_at: str) -> Changes:
    """The rows one event brings; parts that are missing or malformed bring none."""
    changes = Changes()
    if not isinstance(payload, Mapping):
        return changes
    action = str(payload.get("action") or "")
    project = payload.get("project")
    project_id = _id(project)
    annotations = [*_objects(payload.get("annotation")), *_objects(payload.get("annotations"))]
    tasks = [*_objects(payload.get("task")), *_objects(payload.get("tasks"))]
    # An update that carries the same time as the creation it follows must still win.
    rank = "1" if action in UPDATES else "0"

    if isinstance(project, Mapping) and project_id is not None and "label_config" in project:
        changes.projects.append(project_row(project, received_at, rank))
    if action in DELETES_ANNOTATIONS:
        changes.deleted_annotations += [i for i in map(_id, annotations) if i is not None]
        return changes
    if action in DELETES_TASKS:
        changes.deleted_tasks += [i for i in map(_id, tasks) if i is not None]
        return changes
    for task in tasks:
        if _id(task) is not None and isinstance(task.get("data"), Mapping):
            read_task(task, changes, received_at, project_id)
    only_task = _id(tasks[0]) if len(tasks) == 1 else None
    for annotation in annotations:
        if _id(annotation) is not None and isinstance(annotation.get("result"), list):
            read_annotation(annotation, changes, received_at, project_id, only_task, rank)
    if project_id is not None:  # an event is of one project, whatever is in it
        for row in (*changes.tasks, *changes.predictions, *changes.annotations):
            row["project_id"] = project_id
    return changes


def read_task(
    task: Mapping[str, Any], changes: Changes, received_at: str, project_id: int | None = None
) -> None:
    """A task with whatever predictions and annotations travel inside it."""
    project_id = _id(task.get("project")) if _id(task.get("project")) is not None else project_id
    version = normalise(task.get("updated_at")) or received_at
    changes.tasks.append(
        {
            "id": _id(task),
            "project_id": project_id,
            "data": dict(task["data"]),
            "version": version,
            "created_at": normalise(task.get("created_at")),
        }
    )
    for prediction in _objects(task.get("predictions")):
        _add_prediction(prediction, changes, received_at, project_id, _id(task))
    for annotation in _objects(task.get("annotations")):
        if _id(annotation) is not None and isinstance(annotation.get("result"), list):
            read_annotation(annotation, changes, received_at, project_id, _id(task), "0")


def read_annotation(
    annotation: Mapping[str, Any],
    changes: Changes,
    received_at: str,
    project_id: int | None,
    task_id: int | None,
    rank: str,
) -> None:
    """One annotation and the prediction it was started from, if that travels with it."""
    own_task, own_project = _id(annotation.get("task")), _id(annotation.get("project"))
    task_id = own_task if own_task is not None else task_id
    project_id = own_project if own_project is not None else project_id
    updated = normalise(annotation.get("updated_at")) or received_at
    changes.annotations.append(
        {
            "id": _id(annotation),
            "project_id": project_id,
            "task_id": task_id,
            "result": _regions(annotation["result"]),
            "was_cancelled": bool(annotation.get("was_cancelled")),
            "ground_truth": bool(annotation.get("ground_truth")),
            "parent_prediction": _id(annotation.get("parent_prediction")),
            "annotator": _id(annotation.get("completed_by")),
            "lead_time": number(annotation.get("lead_time")),
            "created_at": normalise(annotation.get("created_at")),
            "version": f"{updated} {rank}",
        }
    )
    prediction = annotation.get("prediction")
    if isinstance(prediction, Mapping):
        _add_prediction(prediction, changes, received_at, project_id, task_id)


def prediction_row(
    prediction: Mapping[str, Any],
    *,
    task_id: int,
    project_id: int | None,
    received_at: str,
) -> Row:
    """A prediction keyed by Label Studio's id, or by what it says before it has one."""
    result = _regions(prediction.get("result"))
    model_version = str(prediction.get("model_version") or "")
    label_studio_id = _id(prediction.get("id"))
    return {
        "key": (
            f"ls-{label_studio_id}"
            if label_studio_id is not None
            else _content_key([task_id, model_version, result])
        ),
        "label_studio_id": label_studio_id,
        "project_id": project_id,
        "task_id": task_id,
        "model_version": model_version,
        "score": number(prediction.get("score")),
        "result": result,
        "created_at": normalise(prediction.get("created_at")) or received_at,
    }


def _content_key(content: list[Any]) -> str:
    """A digest of what a prediction says; its JSON is made piece by piece, as others wait."""
    digest = hashlib.sha256()
    for piece in json.JSONEncoder(sort_keys=True, default=str).iterencode(content):
        digest.update(piece.encode())
    return digest.hexdigest()


def project_row(project: Mapping[str, Any], received_at: str, rank: str = "0") -> Row:
    """What the figures need of a project."""
    updated = normalise(project.get("updated_at")) or received_at
    return {
        "id": _id(project),
        "title": str(project.get("title") or ""),
        "label_config": str(project.get("label_config") or ""),
        "version": f"{updated} {rank}",
    }


def redact(payload: object) -> object:
    """The payload without the secrets that Label Studio puts into its project object."""
    if isinstance(payload, Mapping) and isinstance(payload.get("project"), Mapping):
        project = {k: v for k, v in payload["project"].items() if k not in SECRETS}
        return {**payload, "project": project}
    return payload


def clean(value: Any, depth: int = 0) -> Any:
    """The payload as every database and every reader of JSON can take it.

    NaN, infinities and whole numbers beyond 64 bits become null, NUL characters go, halves of
    surrogate pairs become question marks, and what is nested too deep becomes null. What has none
    of that is not copied.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    if isinstance(value, dict | list) and depth >= DEEPEST:
        return None
    if isinstance(value, dict):
        found = {clean_text(str(k)): clean(v, depth + 1) for k, v in value.items()}
        same = _is_same(found, value) and _is_same(found.values(), value.values())
        return value if same else found
    if isinstance(value, list):
        entries = [clean(entry, depth + 1) for entry in value]
        return value if _is_same(entries, value) else entries
    return value


def _is_same(some: Collection[Any], others: Collection[Any]) -> bool:
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))


def _regions(result: object) -> list[Row]:
    """The regions of a result; what names them is text, or a number, or not there."""
    regions = [dict(item) for item in result if isinstance(item, Mapping)] if (
        isinstance(result, list)
    ) else []  # fmt: skip
    for region in regions:
        for name in REGION_NAMES:
            if not isinstance(region.get(name, ""), str | int):
                del region[name]
    _thin_tracks(regions)
    return regions


def _thin_tracks(regions: Sequence[Row]) -> None:
    """Leave so many keys to tracks as pages and figures can be made of; between two keys a track
    is drawn straight, so with a second or third of them it is where it was.
    """
    tracks = [
        (region, value["sequence"])
        for region in regions
        if isinstance(value := region.get("value"), Mapping)
        and isinstance(value.get("sequence"), list)
    ]
    step = -(-sum(len(sequence) for _, sequence in tracks) // MAX_KEYS)
    if step > 1:
        for region, sequence in tracks:
            region["value"] = {**region["value"], "sequence": thin_keys(sequence, step)}


def _add_prediction(
    prediction: Mapping[str, Any],
    changes: Changes,
    received_at: str,
    project_id: int | None,
    task_id: int | None,
) -> None:
    own_task = _id(prediction.get("task"))
    task_id = own_task if own_task is not None else task_id
    if task_id is None or not isinstance(prediction.get("result"), list):
        return
    changes.predictions.append(
        prediction_row(prediction, task_id=task_id, project_id=project_id, received_at=received_at)
    )


def _id(value: object) -> int | None:
    """An id given as number, as text, or inside its object."""
    if isinstance(value, Mapping):
        value = value.get("id")
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        digits = value.split(".")[0]  # /predict names projects "12.1732320000"
        value = (
            int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else None
        )
    return value if isinstance(value, int) and abs(value) <= LARGEST_ID else None


def _objects(value: object) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, list):
        return [item for item in value if isinstance(item, Mapping)]
    return []
