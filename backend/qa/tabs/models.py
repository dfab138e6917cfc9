"""The model versions, two of them side by side, and whether scores tell what hits."""

from backend.qa.charts import breakdown_chart, reliability_chart
from backend.qa.compare import compared
from backend.qa.events import Row
from backend.qa.tab import Asked, Tab


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
    return {"charts": charts, "pair": pair}


TAB = Tab("models", "Models", "/qa/models", 4, context)
