"""The model versions, two of them side by side, and whether scores tell what hits."""

from collections.abc import Sequence

from backend.database import schema
from backend.qa.charts import breakdown_chart, reliability_chart
from backend.qa.compare import compared
from backend.qa.events import Row
from backend.qa.tab import Asked, Tab
from backend.qa.views import thumbnail

FIRST = 6  # tasks where two versions differ, shown at once


def context(asked: Asked) -> Row:
    """Two versions as asked for (``first``, ``second``), else the two that were judged last.

    Raises:
        InputError: there is no such version.
    """
    report = asked.report
    rows = report["breakdowns"]["model_version"]
    charts = {}
    if len(rows) > 1:
        charts["by-model_version"] = breakdown_chart(rows, "model")
    if report["reliability"]:
        charts["reliability"] = reliability_chart(report["reliability"])
    first, second = (asked.args.get(name, "").strip() for name in ("first", "second"))
    pair = report["versions"]
    if first or second:
        pair = compared(asked.store, asked.filters, first, second)
    both = (pair["first"], pair["second"]) if pair else ()
    differing = [_card(asked, row, both) for row in (pair["differing"][:FIRST] if pair else ())]
    return {
        "charts": charts,
        "pair": pair,
        "differing": differing,
        "versions": report["choices"]["model_version"],
    }


def _card(asked: Asked, unit: Row, versions: Sequence[str]) -> Row:
    table = schema.annotations
    where = table.c.server == unit["server"], table.c.id == unit["annotation_id"]
    row = {**unit, "project_id": asked.store.rows(table, *where)[0]["project_id"]}
    return {**row, **thumbnail(asked.store, row, versions), "link": asked.task_link(row)}


TAB = Tab("models", "Models", "/qa/models", 4, context)
