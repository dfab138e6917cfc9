"""The figures and labels in files: CSV, COCO, JSON and one HTML page that needs nothing else."""

import csv
import io
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from backend.database import schema
from backend.qa.charts import breakdown_chart, curve_chart
from backend.qa.events import Row
from backend.qa.queries import score_rows
from backend.qa.regions import bounds, read_regions
from backend.qa.report import DIMENSIONS, Filters
from backend.qa.store import Store
from backend.qa.times import now
from backend.qa.views import TITLES, template_filters
from backend.qa.words import words_of
from videogem.structures import Point

COLUMNS = (
    "project_id", "task_id", "annotation_id", "position", "kind", "outcome", "counted", "hit",
    "iou", "distance_diagonal", "distance_side", "label", "verb", "object", "narration", "video",
    "item", "frame", "annotator", "model_version", "score", "ground_truth", "independent",
    "accepted", "lead_time", "at", "server",
)  # fmt: skip
SCRIPTS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")


def regions_csv(store: Store, filters: Filters) -> str:
    """One line per predicted or added region, with every fact of it."""
    store.process_pending()
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in score_rows(store, filters.project):
        if filters.keep(row):
            writer.writerow({name: _cell(row.get(name)) for name in COLUMNS})
    return buffer.getvalue()


def coco_json(store: Store, filters: Filters) -> str:
    """The boxes of all annotations that count, as a COCO detection file; turned boxes upright."""
    store.process_pending()
    kept = {
        (row["server"], row["annotation_id"])
        for row in score_rows(store, filters.project)
        if row["counted"] and filters.keep(row)
    }
    tasks = {(task["server"], task["id"]): task for task in store.rows(schema.tasks)}
    images: dict[tuple[str, int, int, int | None], Row] = {}
    categories: dict[str, int] = {}
    boxes: list[Row] = []
    for annotation in store.rows(schema.annotations):
        if (annotation["server"], annotation["id"]) not in kept:
            continue
        for region in read_regions(annotation["result"]):
            if region.kind not in ("box", "track"):
                continue
            shapes: list[tuple[int | None, tuple[Point, ...]]]
            shapes = [(key.frame, key.corners) for key in region.keys] or [(None, region.corners)]
            for frame, corners in shapes:
                image = _image(images, tasks, annotation, region.canvas[1], frame, region.size_wh)
                label = region.label or "action"
                category = categories.setdefault(label, len(categories) + 1)
                box = _pixel_box(corners, region.size_wh)
                boxes.append(
                    {
                        "id": len(boxes) + 1,
                        "image_id": image,
                        "category_id": category,
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": 0,
                        "label_studio_annotation": annotation["id"],
                        "annotator": annotation["annotator"],
                    }
                )
    return json.dumps(
        {
            "info": {"description": "Label Studio annotations", "date_created": now()},
            "images": list(images.values()),
            "annotations": boxes,
            "categories": [{"id": id, "name": name} for name, id in categories.items()],
        }
    )


def plain(report: Row) -> Row:
    """The report without what only serves the page."""
    return {name: value for name, value in report.items() if name != "choices"}


def report_html(report: Mapping[str, Any]) -> str:
    """The report as one file with styles, scripts and data inside."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("backend.qa"), autoescape=True)
    environment.filters |= template_filters()
    charts = {}
    if report["curve"]:
        charts["curve"] = curve_chart(report["curve"])
        for name in DIMENSIONS:
            if len(report["breakdowns"][name]) > 1:
                charts[f"by-{name}"] = breakdown_chart(report["breakdowns"][name], TITLES[name])
    static = resources.files("backend.qa") / "static"
    # "</" would end the script element that the text stands in.
    scripts = [
        (static / "vendor" / name).read_text(encoding="utf-8").replace("</script", "<\\/script")
        for name in SCRIPTS
    ]
    return environment.get_template("qa/report.html").render(
        report=report,
        charts=charts,
        written=now()[:16].replace("T", " "),
        style=(static / "qa.css").read_text(encoding="utf-8"),
        scripts=[*scripts, (static / "qa.js").read_text(encoding="utf-8")],
        standalone=True,
    )


def _image(
    images: dict[tuple[str, int, int, int | None], Row],
    tasks: Mapping[tuple[str, int], Row],
    annotation: Row,
    item: int,
    frame: int | None,
    size: tuple[float, float],
) -> int:
    key = (annotation["server"], annotation["task_id"], item, frame)
    if key not in images:
        task = tasks.get((annotation["server"], annotation["task_id"]))
        name = words_of(task["data"]).media if task else ""
        images[key] = {
            "id": len(images) + 1,
            "file_name": name,
            "width": round(size[0]),
            "height": round(size[1]),
            "label_studio": annotation["server"],
            "label_studio_task": annotation["task_id"],
            "item": item,
            **({} if frame is None else {"frame": frame}),
        }
    return int(images[key]["id"])


def _pixel_box(corners: Any, size: tuple[float, float]) -> list[float]:
    x1, y1, x2, y2 = bounds(corners)
    width, height = size
    numbers = (x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height)
    return [round(v, 3) for v in numbers]


def _cell(value: Any) -> Any:
    """Spreadsheets run cells that begin like a formula; a quote keeps them text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
