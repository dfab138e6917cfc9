"""Who annotates how, how well they agree, and who did how much."""

from backend.qa.charts import breakdown_chart
from backend.qa.estimates.annotators import rate_annotators
from backend.qa.events import Row
from backend.qa.tab import Asked, Kept, Tab

_kept = Kept()


def context(asked: Asked) -> Row:
    """The model's accuracy by annotator as a chart, and how reliable each is in one project; the
    other tables are the report's.
    """
    rows = asked.report["breakdowns"]["annotator"]
    charts = {"by-annotator": breakdown_chart(rows, "annotator")} if len(rows) > 1 else {}
    project = asked.one_project()
    rated = None if project is None else _kept.get(asked.store, project, rate_annotators)
    return {"charts": charts, "rated": rated}


TAB = Tab("people", "People", "/qa/people", 3, context)
