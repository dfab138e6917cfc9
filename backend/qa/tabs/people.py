"""Who annotates how, how well they agree, and who did how much."""

from backend.database.keys import ProjectKey
from backend.qa.charts import breakdown_chart
from backend.qa.estimates.annotators import rate_annotators
from backend.qa.events import Row
from backend.qa.tab import Asked, Kept, Tab
from backend.qa.views import annotator_text, named_rows

_kept = Kept()


def context(asked: Asked) -> Row:
    """The model's accuracy by annotator as a chart, and how reliable each is in one project; the
    other tables are the report's.
    """
    rows = named_rows(asked.report["breakdowns"]["annotator"], "annotator", asked.person)
    charts = {"by-annotator": breakdown_chart(rows, "annotator")} if len(rows) > 1 else {}
    project = asked.one_project()
    rated = None if project is None else _kept.get(asked.store, project, rate_annotators)
    if project is not None and rated is not None:
        rated = {**rated, "annotators": [_named(asked, project, r) for r in rated["annotators"]]}
    return {"charts": charts, "rated": rated}


def _named(asked: Asked, project: ProjectKey, row: Row) -> Row:
    number = row["annotator"]
    whole = f"{number}@{project.server}" if project.server else number
    name = asked.person(whole)
    return {**row, "name": asked.person(number) if name == annotator_text(whole) else name}


TAB = Tab("people", "People", "/qa/people", 3, context)
