"""Labels as a COCO file: boxes, their points as keypoints, and images where nothing was left."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from backend.address import is_data
from backend.database import schema
from backend.labeling.labels import subject_of
from backend.qa.events import Row
from backend.qa.matching import nearest_to
from backend.qa.regions import Region, bounds, read_regions
from backend.qa.selection import Filters, selected_rows
from backend.qa.store import Store
from backend.qa.times import now
from backend.qa.words import MEDIA, path_of
from videogem.structures import Point

KEYPOINT = "point"  # the one keypoint of every category
ILLEGAL = re.compile(r'[<>:"|?*\\\x00-\x1f]')  # in names of files, on some system
Size = tuple[float, float]


def coco_json(store: Store, filters: Filters) -> str:
    """All annotations that count, as a COCO file of boxes and keypoints.

    Boxes are upright and cut at the frame. A point belongs to the nearest box of its label, or
    stands alone. Images whose review left nothing are listed without annotations.
    """
    store.catch_up()
    sizes: dict[tuple[str, int], dict[int, Size]] = defaultdict(dict)
    for row in selected_rows(store, filters):
        if row["counted"]:
            known = sizes[row["server"], row["annotation_id"]]
            if "size" in row and row["outcome"] != "added":
                known[row.get("item") or 0] = (row["size"][0], row["size"][1])
    tasks = {(task["server"], task["id"]): task for task in store.rows(schema.tasks)}
    file = _File(tasks)
    for annotation in store.rows(schema.annotations):
        key = annotation["server"], annotation["id"]
        if key in sizes:
            file.add(annotation, read_regions(annotation["result"]), sizes[key])
    return json.dumps(file.content())


class _File:
    def __init__(self, tasks: Mapping[tuple[str, int], Row]) -> None:
        self._tasks = tasks
        self._images: dict[tuple[str, int, int, int | None], Row] = {}
        self._categories: dict[str, int] = {}
        self._annotations: list[Row] = []

    def content(self) -> Row:
        return {
            "info": {"description": "Label Studio annotations", "date_created": now()},
            "images": list(self._images.values()),
            "annotations": self._annotations,
            "categories": [
                {"id": id, "name": name, "keypoints": [KEYPOINT], "skeleton": []}
                for name, id in self._categories.items()
            ],
        }

    def add(self, annotation: Row, regions: Sequence[Region], sizes: Mapping[int, Size]) -> None:
        canvases: dict[int, list[Region]] = defaultdict(list)
        for region in regions:
            canvases[region.canvas[1]].append(region)
        for item, size in sizes.items():
            if item not in canvases:
                self._image(annotation, item, None, size)
        for item, there in canvases.items():
            stills = [r for r in there if r.kind == "box"]
            points = _by_box([r for r in there if r.kind == "point"], stills)
            if all(r.kind == "mask" for r in there):
                self._image(annotation, item, None, there[0].size_wh)
            for box in stills:
                self._put(annotation, box, None, box.corners, points.pop(id(box), None))
            for point in points.values():
                self._put(annotation, point, None, point.corners, point)
            for track in (r for r in there if r.kind == "track"):
                for key in track.keys:
                    self._put(annotation, track, key.frame, key.corners, None)

    def _put(
        self,
        annotation: Row,
        region: Region,
        frame: int | None,
        corners: Sequence[Point],
        point: Region | None,
    ) -> None:
        label = region.label or "action"
        box = _pixel_box(corners, region.size_wh)
        width, height = region.size_wh
        place = [0, 0, 0] if point is None else [
            round(_within(point.point[0]) * width, 3), round(_within(point.point[1]) * height, 3), 2
        ]  # fmt: skip
        self._annotations.append(
            {
                "id": len(self._annotations) + 1,
                "image_id": self._image(annotation, region.canvas[1], frame, region.size_wh),
                "category_id": self._categories.setdefault(label, len(self._categories) + 1),
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "keypoints": place,
                "num_keypoints": int(point is not None),
                "label_studio_annotation": annotation["id"],
                "annotator": annotation["annotator"],
            }
        )

    def _image(self, annotation: Row, item: int, frame: int | None, size: Size) -> int:
        key = (annotation["server"], annotation["task_id"], item, frame)
        if key not in self._images:
            task = self._tasks.get((annotation["server"], annotation["task_id"]))
            address = _address(task["data"], item) if task else ""
            name = portable(address) or f"task_{annotation['task_id']}_{item}"
            if frame is not None:
                name = f"{PurePosixPath(name).with_suffix('')}_{frame:06d}.jpg"
            self._images[key] = {
                "id": len(self._images) + 1,
                "file_name": name,
                "coco_url": address,
                "width": round(size[0]),
                "height": round(size[1]),
                "label_studio": annotation["server"],
                "label_studio_task": annotation["task_id"],
                "item": item,
                **({} if frame is None else {"frame": frame}),
            }
        return int(self._images[key]["id"])


def portable(address: str) -> str:
    """A relative path that every system takes, of the file an address names.

    >>> portable("/data/local-files/?d=frames/day%201/0001.jpg")
    'frames/day 1/0001.jpg'
    >>> portable("s3://bucket/../a:b/c?.jpg")
    'a_b/c'
    >>> portable(r"C:\\clips\\one.jpg")
    'clips/one.jpg'
    """
    path = unquote(path_of(address)).replace("\\", "/").removeprefix("/data/")
    parts = (ILLEGAL.sub("_", part).rstrip(". ") for part in path.split("/"))
    return "/".join(part for part in parts if part)


def _address(data: Mapping[str, Any], item: int) -> str:
    """What the task says of one of its frames; '' where the frame itself stands there."""
    for name in MEDIA:
        value = data.get(name)
        if isinstance(value, list):
            value = value[item] if item < len(value) else None
        if isinstance(value, str) and value.strip():
            return "" if is_data(value) else value.strip()
    return ""


def _by_box(points: Sequence[Region], boxes: Sequence[Region]) -> dict[int, Region]:
    """The point of each box, by the box's identity; points without one by their own."""
    found: dict[int, Region] = {}
    for point in points:
        subject = subject_of(point.label or "")
        alike = [box for box in boxes if subject_of(box.label or "") == subject]
        free = [box for box in alike if id(box) not in found]
        found[id(nearest_to(point, free) or point)] = point
    return found


def _pixel_box(corners: Sequence[Point], size: Size) -> list[float]:
    x1, y1, x2, y2 = (_within(value) for value in bounds(corners))
    width, height = size
    numbers = (x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height)
    return [round(v, 3) for v in numbers]


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)
