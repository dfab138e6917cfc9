"""Score rows out of the store."""

import sqlalchemy as sa

from backend.database import schema
from backend.qa.events import Row
from backend.qa.figures import share
from backend.qa.store import Store


def summary(store: Store, project_id: int | None = None) -> Row:
    """The headline: pointing accuracy over all reviewed annotations, skips apart."""
    scores = schema.scores
    query = sa.select(
        sa.func.count(scores.c.hit), sa.func.sum(sa.case((scores.c.hit.is_(True), 1), else_=0))
    ).where(scores.c.counted.is_(True))
    if project_id is not None:
        query = query.where(scores.c.project_id == project_id)
    with store.read() as connection:
        n, hits = connection.execute(query).one()
    return share(int(hits or 0), int(n))


def score_rows(store: Store, project_id: int | None = None) -> list[Row]:
    """All score rows of a project (or of all), flat, oldest annotation first."""
    conditions = [] if project_id is None else [schema.scores.c.project_id == project_id]
    rows = [
        {**{k: v for k, v in row.items() if k != "data"}, **row["data"]}
        for row in store.rows(schema.scores, *conditions)
    ]
    return sorted(rows, key=lambda row: (row["at"], row["annotation_id"], row["position"]))
