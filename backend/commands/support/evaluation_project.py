"""A Label Studio project as a dataset, and the predictions stored in it, for `videogem evaluate`.

Every system that writes predictions into the project, by whatever backend, is scored against the
boxes people submitted, with the ruler of the other datasets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from backend.database.keys import read_project
from backend.label_studio.connections import Connections
from backend.qa.regions import Region, read_regions
from backend.settings import load_settings
from videogem.datasets.base import LEFT_OUT, NO_BOX, UNREADABLE, Dataset, Finding, Item
from videogem.datasets.exports import Fields, choose_fields
from videogem.datasets.readers.labelstudio import best_annotation
from videogem.evaluation import Prediction


def project_dataset(
    project: str, narration_field: str | None = None, media_field: str | None = None
) -> Dataset:
    """Tasks with submitted regions: per task the ground truth, else the latest annotation.

    Each frame of a list is an item of its own.

    Raises:
        InputError: no address or token is set, Label Studio refuses, or several fields of the tasks
            may hold what is asked.
    """
    items: list[Item] = []
    findings: list[Finding] = []
    tasks = _tasks(project)
    datas = [task.get("data") or {} for task in tasks]
    fields = choose_fields(datas, media=media_field, narration=narration_field)
    for task in tasks:
        found = _items(task, fields)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            items.extend(found)
    return Dataset(
        name=f"project-{read_project(project).id}",
        root=None,
        items=tuple(items),
        num_items=len(items) + len(findings),
        num_boxes=sum(len(item.boxes) for item in items),
        videos=frozenset(item.video for item in items),
        classes=Counter(item.label for item in items),
        findings=tuple(findings),
        told=fields.told,
    )


def project_predictions(
    project: str, media_field: str | None = None
) -> dict[str, dict[str, Prediction]]:
    """By model version and item; of several predictions of one version the latest counts."""
    found: dict[str, dict[str, Prediction]] = {}
    tasks = _tasks(project)
    fields = choose_fields([task.get("data") or {} for task in tasks], media=media_field)
    for task in tasks:
        by_age = sorted(task.get("predictions") or [], key=lambda one: int(one.get("id") or 0))
        latest = {str(one.get("model_version") or "without version"): one for one in by_age}
        for version, stored in latest.items():
            for prediction in _predictions(task, stored, fields):
                found.setdefault(version, {})[prediction.id] = prediction
    return found


def _items(task: Mapping[str, Any], fields: Fields) -> list[Item] | Finding:
    id_ = str(task["id"])
    annotation = best_annotation(task.get("annotations") or [])
    if annotation is None:
        return Finding(id_, LEFT_OUT, dropped=True, detail="no submitted annotation")
    data = task.get("data") or {}
    try:
        media = fields.media_of(data)
    except KeyError as error:
        return Finding(id_, UNREADABLE, dropped=True, detail=repr(error))
    frames: defaultdict[int, list[Region]] = defaultdict(list)
    for region in read_regions(annotation.get("result") or []):
        if region.kind in ("box", "mask"):
            frames[region.canvas[1] if isinstance(media, list) else 0].append(region)
    if not frames:
        return Finding(id_, NO_BOX, dropped=True)
    return [_item(id_, index, regions, data, media, fields) for index, regions in frames.items()]


def _item(
    id_: str,
    index: int,
    regions: Sequence[Region],
    data: Mapping[str, Any],
    media: str | list[str],
    fields: Fields,
) -> Item:
    in_list = isinstance(media, list)
    boxes = [region for region in regions if region.kind == "box"] or regions
    narration = fields.narration_of(data, index if in_list else None)
    width, height = boxes[0].size_wh
    return Item(
        id=f"{id_}#{index}" if in_list else id_,
        video=media[0] if isinstance(media, list) else media,
        narration=narration,
        label=boxes[0].label or narration,
        boxes=tuple(region.box for region in boxes),
        size_wh=(round(width), round(height)),
    )


def _predictions(
    task: Mapping[str, Any], stored: Mapping[str, Any], fields: Fields
) -> Iterator[Prediction]:
    """What was predicted for a task, or for each frame of its list."""
    regions = read_regions(stored.get("result") or [])
    score = stored.get("score")
    score = None if score is None else float(score)
    try:
        in_list = isinstance(fields.media_of(task.get("data") or {}), list)
    except KeyError:
        in_list = False
    for index in sorted({region.canvas[1] for region in regions}) if in_list else [0]:
        here = [region for region in regions if not in_list or region.canvas[1] == index]
        point = _first(here, "point")
        box = _first(here, "box") or _first(here, "mask")
        yield Prediction(
            id=f"{task['id']}#{index}" if in_list else str(task["id"]),
            point=None if point is None else point.point,
            box=None if box is None else box.box,
            score=score,
        )


def _first(regions: Sequence[Region], kind: str) -> Region | None:
    return next((region for region in regions if region.kind == kind), None)


@lru_cache(maxsize=1)
def _tasks(project: str) -> tuple[dict[str, Any], ...]:
    key, client = Connections(load_settings()).named(project)
    return tuple(task for page in client.task_pages(key.id) for task in page.tasks)
