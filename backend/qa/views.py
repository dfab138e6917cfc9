"""What the templates need: numbers as people read them, and the drawing of a thumbnail."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from backend.database import schema
from backend.qa.agreement import MODEL
from backend.qa.audit import audit_reasons
from backend.qa.events import Row
from backend.qa.marks import digest
from backend.qa.regions import read_regions
from backend.qa.store import Store

PER_PAGE = 24  # audit cards on a page
NO_BREAK = "\N{NO-BREAK SPACE}"
TITLES = {
    "label": "label",
    "verb": "verb",
    "object": "object",
    "annotator": "annotator",
    "model_version": "model version",
    "project_id": "project",
    "video": "video",
}


def template_filters(
    person: Callable[[object], str] | None = None,
) -> dict[str, Callable[..., Any]]:
    """What templates write values with; ``person`` names annotators."""
    person = person or annotator_text

    def named(value: object, dimension: str, projects: Sequence[Row] = ()) -> str:
        return name_of(value, dimension, person, projects)

    return {
        "qa_percent": lambda value: joined(percent(value)),
        "qa_interval": interval,
        "qa_decimal": decimal,
        "qa_joined": joined,
        "qa_thin": thin,
        "qa_reason": lambda code: audit_reasons()[code].meaning,
        "qa_title": TITLES.__getitem__,
        "qa_person": person,
        "qa_side": lambda side: side_text(side, person),
        "qa_named": named,
    }


def name_of(
    value: object,
    dimension: str,
    person: Callable[[object], str],
    projects: Sequence[Row] = (),
) -> str:
    """A value of a dimension as people call it, where its heading says which dimension it is."""
    if dimension == "annotator":
        name = person(value)
        return str(value) if name == annotator_text(value) else name
    if dimension == "project_id":
        title = next((p["title"] for p in projects if p["value"] == str(value)), "")
        return f"{title} ({value})" if title else str(value)
    return file_name(str(value)) if dimension == "video" else str(value)


def named_rows(
    rows: Sequence[Row],
    dimension: str,
    person: Callable[[object], str],
    projects: Sequence[Row] = (),
) -> list[Row]:
    """Rows of a breakdown by the names people know, for a chart: no two have the same.

    >>> rows = [{"name": "0f3a9c1e-a.mp4"}, {"name": "1f3a9c1e-a.mp4"}, {"name": "b.mp4"}]
    >>> [row["name"] for row in named_rows(rows, "video", annotator_text)]
    ['a.mp4 (0f3a9c1e-a.mp4)', 'a.mp4 (1f3a9c1e-a.mp4)', 'b.mp4']
    """
    names = [name_of(row["name"], dimension, person, projects) for row in rows]
    same = Counter(names)
    return [
        {**row, "name": name if same[name] == 1 else f"{name} ({row['name']})"}
        for row, name in zip(rows, names, strict=True)
    ]


def side_text(side: str, person: Callable[[object], str]) -> str:
    """One of two that are compared (`agreement.Pairs.name`): an annotator, or a model version.

    >>> side_text("3", annotator_text), side_text("model: v1", annotator_text)
    ('annotator 3', 'model: v1')
    """
    return side if side.startswith(MODEL) else person(side)


def percent(value: float | None) -> str:
    """A share in percent.

    >>> percent(0.9312), percent(None)
    ('93.1 %', '-')
    """
    return "-" if value is None else f"{100 * value:.1f} %"


def interval(figure: Row) -> str:
    """The interval of a share or mean; shares lie in [0, 1] and become percent."""
    if figure.get("low") is None or figure.get("high") is None:
        return "-"
    if "hits" in figure:
        return whole(f"{100 * figure['low']:.1f} to {100 * figure['high']:.1f} %")
    return whole(f"{figure['low']:.2f} to {figure['high']:.2f}")


def joined(text: str) -> str:
    """A text whose figures are never parted from their signs at the end of a line.

    >>> joined("score 0.85, 22 % of the diagonal outside")
    'score 0.85, 22\\xa0% of the diagonal outside'
    """
    return text.replace(" %", f"{NO_BREAK}%")


def whole(text: str) -> str:
    """A text that stays on one line."""
    return text.replace(" ", NO_BREAK)


def thin(rows: Sequence[Row], most: int = 20) -> list[Row]:
    """Every so many rows, the last one always."""
    step = max(1, -(-len(rows) // most))
    return [row for position, row in enumerate(reversed(rows)) if position % step == 0][::-1]


def decimal(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def address_of(url: str | None, suspect: Row) -> str | None:
    """Where Label Studio at an address shows a suspect's annotation; None: it is not known.

    >>> address_of("http://ls", {"server": "", "project_id": 3, "task_id": 7, "annotation_id": 9})
    'http://ls/projects/3/data?task=7&annotation=9'
    """
    url, project = url or suspect["server"], suspect["project_id"]
    if not url or not project:
        return None
    task, annotation = suspect["task_id"], suspect["annotation_id"]
    return f"{url}/projects/{project}/data?task={task}&annotation={annotation}"


def file_name(video: str) -> str:
    """A video's file without what Label Studio puts before the name of an upload.

    >>> file_name("0f3a9c1e-kitchen.mp4"), file_name("kitchen.mp4")
    ('kitchen.mp4', 'kitchen.mp4')
    """
    return re.sub(r"^[0-9a-f]{8}-(?=.)", "", video)


def annotator_text(annotator: object) -> str:
    """An annotator of whom nothing but the number is known.

    >>> annotator_text(3), annotator_text("3@http://studio.example")
    ('annotator 3', 'annotator 3 of http://studio.example')
    """
    number, _, server = str(annotator).partition("@")
    return f"annotator {number} of {server}" if server else f"annotator {number}"


def thumbnail(store: Store, suspect: Row, versions: Sequence[str] | None = None) -> dict[str, Any]:
    """Shapes to draw over a suspect's frame: predicted and corrected, in percent of the frame, and
    what tells whether the annotation is still the same (``seen``).

    Predicted ones are of these model ``versions``, those of the second marked as such, else of the
    prediction that counts.
    """
    server, annotation_id, item = suspect["server"], suspect["annotation_id"], suspect["item"]
    scores, annotations = schema.scores, schema.annotations
    predicted: list[dict[str, Any]] = []
    for row in store.rows(
        scores, scores.c.server == server, scores.c.annotation_id == annotation_id
    ):
        fact = row["data"]
        if fact["kind"] == "annotation" or fact.get("item", 0) != item:
            continue
        counts = "compared" not in fact
        is_meant = counts if versions is None else fact["model_version"] in versions
        if fact["outcome"] == "added" or not is_meant:
            continue
        second = versions is not None and fact["model_version"] in versions[1:]
        if "point" in fact:
            predicted.append({"point": [100 * v for v in fact["point"]], "second": second})
        elif fact["kind"] in ("box", "track"):
            x1, y1, x2, y2 = (100 * v for v in fact["box"])
            around = f"{x1},{y1} {x2},{y1} {x2},{y2} {x1},{y2}"
            predicted.append({"corners": around, "second": second})
    corrected: list[dict[str, Any]] = []
    size, seen = (16.0, 9.0), ""
    for annotation in store.rows(
        annotations, annotations.c.server == server, annotations.c.id == annotation_id
    ):
        seen = digest(annotation)
        for region in read_regions(annotation["result"]):
            if region.canvas[1] != item:
                continue
            size = region.size_wh if region.size_wh != (1.0, 1.0) else size
            if region.kind == "point":
                corrected.append({"point": [100 * v for v in region.point]})
            elif region.kind in ("box", "track"):
                corners = region.keys[0].corners if region.keys else region.corners
                text = " ".join(f"{100 * x:.3f},{100 * y:.3f}" for x, y in corners)
                corrected.append({"corners": text})
    return {"predicted": predicted, "corrected": corrected, "size": size, "seen": seen}
