"""A Label Studio project as a dataset, and the predictions stored in it, for `videogem evaluate`.

Every system that writes predictions into the project, by whatever backend, is scored against the
boxes people submitted, with the ruler of the other datasets.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from backend.database.keys import read_project
from backend.label_studio.connections import Connections
from backend.qa.regions import Region, read_regions
from backend.settings import load_settings
from videogem.datasets.base import LEFT_OUT, NO_BOX, Dataset, Finding, Item
from videogem.datasets.readers.labelstudio import best_annotation, media_name, narration_of
from videogem.evaluation import Prediction


def project_dataset(project: str, narration_field: str | None = None) -> Dataset:
    """Tasks with submitted boxes: per task the ground truth, else the latest annotation.

    Raises:
        InputError: no address or token is set, or Label Studio refuses.
    """
    items: list[Item] = []
    findings: list[Finding] = []
    tasks = _tasks(project)
    for task in tasks:
        item = _item(task, narration_field)
        if isinstance(item, Item):
            items.append(item)
        else:
            findings.append(item)
    return Dataset(
        name=f"project-{read_project(project).id}",
        root=None,
        items=tuple(items),
        num_items=len(tasks),
        num_boxes=sum(len(item.boxes) for item in items),
        videos=frozenset(item.video for item in items),
        classes=Counter(item.label for item in items),
        findings=tuple(findings),
    )


def project_predictions(project: str) -> dict[str, dict[str, Prediction]]:
    """By model version and task id; of several predictions of one version the latest counts."""
    found: dict[str, dict[str, Prediction]] = {}
    for task in _tasks(project):
        by_age = sorted(task.get("predictions") or [], key=lambda one: int(one.get("id") or 0))
        for stored in by_age:
            version = str(stored.get("model_version") or "without version")
            prediction = _prediction(str(task["id"]), stored)
            found.setdefault(version, {})[prediction.id] = prediction
    return found


def _item(task: Mapping[str, Any], narration_field: str | None) -> Item | Finding:
    id_ = str(task["id"])
    annotation = best_annotation(task.get("annotations") or [])
    if annotation is None:
        return Finding(id_, LEFT_OUT, dropped=True, detail="no submitted annotation")
    boxes = [r for r in read_regions(annotation.get("result") or []) if r.kind == "box"]
    if not boxes:
        return Finding(id_, NO_BOX, dropped=True)
    data = task.get("data") or {}
    narration = narration_of(data, narration_field)
    width, height = boxes[0].size_wh
    return Item(
        id=id_,
        video=media_name(data),
        narration=narration,
        label=boxes[0].label or narration,
        boxes=tuple(region.box for region in boxes),
        size_wh=(round(width), round(height)),
    )


def _prediction(id_: str, stored: Mapping[str, Any]) -> Prediction:
    regions = read_regions(stored.get("result") or [])
    point, box = _first(regions, "point"), _first(regions, "box")
    score = stored.get("score")
    return Prediction(
        id=id_,
        point=None if point is None else point.point,
        box=None if box is None else box.box,
        score=None if score is None else float(score),
    )


def _first(regions: Sequence[Region], kind: str) -> Region | None:
    return next((region for region in regions if region.kind == kind), None)


@lru_cache(maxsize=1)
def _tasks(project: str) -> tuple[dict[str, Any], ...]:
    key, client = Connections(load_settings()).named(project)
    return tuple(task for page in client.task_pages(key.id) for task in page.tasks)
