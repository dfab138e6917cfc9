"""Who annotates how, how well they agree, and who did how much."""

from backend.qa.charts import breakdown_chart
from backend.qa.events import Row
from backend.qa.tab import Asked, Tab


def context(asked: Asked) -> Row:
    """The model's accuracy by annotator as a chart; the tables are the report's."""
    rows = asked.report["breakdowns"]["annotator"]
    charts = {"by-annotator": breakdown_chart(rows, "annotator")} if len(rows) > 1 else {}
    return {"charts": charts}


TAB = Tab("people", "People", "/qa/people", 3, context)
