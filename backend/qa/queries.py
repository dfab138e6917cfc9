"""Score rows out of the store."""

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.events import Row
from backend.qa.figures import NO_SHARE
from backend.qa.flat import flat
from backend.qa.known_predictions import num_predictions as count_predictions
from backend.qa.store import Store
from backend.qa.table import Table
from backend.qa.tally import pointing
from videogem.errors import InputError


def summary(store: Store, project: ProjectKey | None = None) -> Row:
    """The headline: pointing accuracy over all reviewed annotations, skips apart."""
    rows = store.ledger.look().rows
    chosen = rows["counted"] & of_project_rows(rows, resolve(store, project))
    figure = pointing(rows.take(chosen))
    return {name: figure[name] for name in NO_SHARE}


def num_predictions(store: Store) -> int:
    """How many predictions are known: one that was made here and came back from Label Studio with
    an id of its own is one.
    """
    with store.read() as connection:
        return count_predictions(connection)


def score_rows(store: Store, project: ProjectKey | None = None) -> list[Row]:
    """All score rows of a project (or of all), flat, oldest annotation first."""
    return readable_rows(store, project)[0]


def readable_rows(store: Store, project: ProjectKey | None = None) -> tuple[list[Row], int]:
    """The score rows as above, and how many more there are that cannot be read."""
    conditions = of_project(schema.scores, resolve(store, project))
    found = store.rows(schema.scores, *conditions)
    rows = [row for each in found if (row := flat(each)) is not None]
    order = ("at", "server", "annotation_id", "position")
    rows.sort(key=lambda row: tuple(row[name] for name in order))
    return rows, len(found) - len(rows)


def of_project(table: sa.Table, project: ProjectKey | None) -> list[sa.ColumnElement[bool]]:
    """The conditions that choose a project's rows; none for all projects."""
    if project is None:
        return []
    return [table.c.server == project.server, table.c.project_id == project.id]


def of_project_rows(rows: Table, project: ProjectKey | None) -> np.ndarray:
    """Mask of a project's rows (num_rows); all of them for all projects."""
    if project is None:
        return np.ones(len(rows), dtype=bool)
    return rows.where("project_id", tuple(project))


def resolve(store: Store, project: ProjectKey | None) -> ProjectKey | None:
    """The project that is meant where only its number was given.

    Raises:
        InputError: several servers have a project of that number.
    """
    if project is None or project.server:
        return project
    servers: set[str] = set()
    with store.read() as connection:
        for table, column in (
            (schema.projects, schema.projects.c.id),
            (schema.tasks, schema.tasks.c.project_id),
            (schema.annotations, schema.annotations.c.project_id),
        ):
            query = sa.select(table.c.server).where(column == project.id).distinct()
            servers |= set(connection.execute(query).scalars())
    if len(servers) > 1:
        named = ", ".join(f"{project.id}@{server}" for server in sorted(servers))
        raise InputError(f"Several servers have a project {project.id}; name one of {named}.")
    return project._replace(server=servers.pop()) if servers else project


def told_apart(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Rows of several servers with these ids made different: ``3`` becomes ``3@http://...``."""
    return [
        {**row, **{n: f"{row[n]}@{row['server']}" for n in names if row.get(n) is not None}}
        for row in rows
    ]
