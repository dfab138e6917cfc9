"""The figures in files: CSV, JSON and one HTML page that needs nothing else."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2

from backend.qa.charts import breakdown_chart, curve_chart, reliability_chart
from backend.qa.events import Row
from backend.qa.selection import Filters, selected_rows
from backend.qa.sorting import Sorting
from backend.qa.store import Store
from backend.qa.table import DIMENSIONS
from backend.qa.times import now
from backend.qa.views import TITLES, annotator_text, named_rows, template_filters

COLUMNS = (
    "project_id", "task_id", "annotation_id", "position", "kind", "outcome", "counted", "hit",
    "iou", "distance_diagonal", "distance_side", "label", "verb", "object", "narration", "video",
    "item", "frame", "annotator", "model_version", "score", "ground_truth", "independent",
    "accepted", "lead_time", "at", "server",
)  # fmt: skip
MARK_COLUMNS = (
    "id", "project_id", "task_id", "annotation_id", "item", "verdict", "reasons", "marked_by",
    "marked_at", "note", "counts", "server",
)  # fmt: skip
INNER = ("choices", "suspects", "marked")  # only serve the pages
NO_AUDIT: Row = {"audit": None, "audit_counts": None}  # a report without its suspects
SCRIPTS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")


def regions_csv(store: Store, filters: Filters) -> str:
    """One line per predicted or added region, with every fact of it."""
    store.catch_up()
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in selected_rows(store, filters):
        writer.writerow({name: _cell(row.get(name)) for name in COLUMNS})
    return buffer.getvalue()


def marks_csv(marks: Sequence[Row]) -> str:
    """One line for each time that somebody marked a suspect (`marks.all_marks`)."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, MARK_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for mark in marks:
        cells = {**mark, "reasons": " ".join(mark["reasons"])}
        writer.writerow({name: _cell(cells[name]) for name in MARK_COLUMNS})
    return buffer.getvalue()


def plain(report: Row) -> Row:
    """The report without what only serves the page."""
    return {name: value for name, value in report.items() if name not in INNER}


def report_html(
    report: Mapping[str, Any],
    cards: Sequence[Row] = (),
    person: Callable[[object], str] | None = None,
) -> str:
    """The report as one file with styles, scripts and data inside.

    ``cards`` are the first of its suspects with their drawing (`views.thumbnail`), ``link`` and
    ``picture``, an address that holds the picture itself; None where there is none.
    """
    environment = jinja2.Environment(loader=jinja2.PackageLoader("backend.qa"), autoescape=True)
    environment.filters |= template_filters(person)
    charts = {}
    if report["curve"]:
        charts["curve"] = curve_chart(report["curve"])
        for name in DIMENSIONS:
            if len(report["breakdowns"][name]) > 1:
                rows = report["breakdowns"][name]
                named = named_rows(rows, name, person or annotator_text, report["projects"])
                charts[f"by-{name}"] = breakdown_chart(named, TITLES[name])
    if report["reliability"]:
        charts["reliability"] = reliability_chart(report["reliability"])
    static = resources.files("backend.qa") / "static"
    # "</" would end the script element that the text stands in.
    scripts = [
        (static / "vendor" / name).read_text(encoding="utf-8").replace("</script", "<\\/script")
        for name in SCRIPTS
    ]
    return environment.get_template("qa/report.html").render(
        report=report,
        charts=charts,
        cards=cards,
        pictures_missing=sum(card["picture"] is None for card in cards),
        written=now()[:16].replace("T", " "),
        style=(static / "qa.css").read_text(encoding="utf-8"),
        breakdowns=report["breakdowns"],
        pair=report["versions"],
        sorting=Sorting(),
        scripts=[*scripts, (static / "qa.js").read_text(encoding="utf-8")],
        standalone=True,
    )


def _cell(value: Any) -> Any:
    """Spreadsheets run cells that begin like a formula; a quote keeps them text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
