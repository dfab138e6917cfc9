"""How good the pre-labels are, whether that is enough, and what to do next."""

from backend.qa.charts import breakdown_chart, curve_chart
from backend.qa.events import Row
from backend.qa.next_step import next_step
from backend.qa.tab import Asked, Tab
from backend.qa.table import DIMENSIONS
from backend.qa.views import TITLES, named_rows

APART = ("annotator", "model_version")  # those have tabs of their own


def context(asked: Asked) -> Row:
    """Charts of the accuracy over time and by what was pointed at."""
    report = asked.report
    by_number = asked.args.get("axis") == "number"
    names = [name for name in DIMENSIONS if name not in APART]
    shown = {name: report["breakdowns"][name] for name in names if report["breakdowns"][name]}
    charts = {}
    if report["curve"]:
        charts["curve"] = curve_chart(report["curve"], by_number=by_number)
        for name, rows in shown.items():
            if len(rows) > 1:
                named = named_rows(rows, name, asked.person, report["projects"])
                charts[f"by-{name}"] = breakdown_chart(named, TITLES[name])
    return {
        "breakdowns": shown,
        "charts": charts,
        "by_number": by_number,
        "next": next_step(report),
    }


TAB = Tab("overview", "Overview", "/qa", 1, context)
