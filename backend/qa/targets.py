"""What accuracy a project has to reach, and whether it does.

A target is reached when the whole 95 % interval is at least as high, missed when the whole interval
is below, and otherwise unknown: unknown is not missed, it asks for more reviews.
"""

import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.events import Row
from backend.qa.facts import put_fact
from backend.qa.measures import Measure
from backend.qa.store import Store
from backend.qa.times import now
from videogem.errors import InputError


def set_target(
    store: Store, project: ProjectKey, at_least: float | None, of: Measure = Measure.headline
) -> None:
    """Keep a project's target, a share in (0, 1]; None: it has none any more.

    Raises:
        InputError: the target is no such share.
    """
    if at_least is not None and not 0 < at_least <= 1:
        raise InputError(
            f"A quality target is a share above 0 and up to 1, as 0.9 for 90 %, got {at_least}."
        )
    table = schema.quality_targets
    with store.write() as connection:
        where = table.c.server == project.server, table.c.project_id == project.id
        connection.execute(table.delete().where(*where))
        if at_least is not None:
            row = {"server": project.server, "project_id": project.id}
            connection.execute(table.insert().values(**row, at_least=at_least, measure=of.value))
        put_fact(connection, "merged_at", now())  # reports kept in memory say the old one


def target_of(store: Store, project: ProjectKey | None) -> Row | None:
    """A project's target: ``at_least`` and ``of``; None where it has none."""
    if project is None:
        return None
    table = schema.quality_targets
    query = sa.select(table.c.at_least, table.c.measure)
    with store.read() as connection:
        found = connection.execute(
            query.where(table.c.server == project.server, table.c.project_id == project.id)
        ).first()
    return None if found is None else {"at_least": found.at_least, "of": found.measure}


def judge(target: Row | None, report: Row) -> Row | None:
    """The target with its verdict: "passed", "failed" or "unknown", and the figure behind it."""
    if target is None:
        return None
    whole = target["of"] == Measure.headline
    figure = report["headline"] if whole else report["subsets"]["independent"]
    verdict = "unknown"
    if figure["n"] and figure["low"] >= target["at_least"]:
        verdict = "passed"
    elif figure["n"] and figure["high"] < target["at_least"]:
        verdict = "failed"
    return {**target, "verdict": verdict, "figure": figure}
