"""Score rows out of the store."""

from collections.abc import Sequence

import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.labeling.shapes import number
from backend.qa.events import Row
from backend.qa.figures import NO_SHARE, pointing
from backend.qa.store import Store
from videogem.errors import InputError

TEXTS = ("kind", "outcome", "at", "narration", "verb", "object", "video", "media")
NEEDED = {"annotator", "model_version", "ground_truth", "independent", "accepted", "lead_time"}
NUMBERS = (
    "iou", "distance_diagonal", "distance_side", "lead_time", "score", "item", "frame", "left_out",
)  # fmt: skip


def summary(store: Store, project: ProjectKey | None = None) -> Row:
    """The headline: pointing accuracy over all reviewed annotations, skips apart."""
    scores = schema.scores
    judged = (scores.c.counted.is_(True), scores.c.hit.is_not(None))
    found = store.rows(scores, *judged, *of_project(scores, resolve(store, project)))
    figure = pointing(row for each in found if (row := _flat(each)) is not None)
    return {name: figure[name] for name in NO_SHARE}


def num_predictions(store: Store) -> int:
    """How many predictions are known: one that was made here and came back from Label Studio with
    an id of its own is one.
    """
    table = schema.predictions
    copy = table.alias()
    same = [copy.c[name] == table.c[name] for name in ("server", "task_id", "model_version")]
    came_back = sa.exists().where(copy.c.label_studio_id.is_not(None), *same)
    query = sa.select(sa.func.count()).where(table.c.label_studio_id.is_not(None) | ~came_back)
    with store.read() as connection:
        return int(connection.execute(query.select_from(table)).scalar_one())


def score_rows(store: Store, project: ProjectKey | None = None) -> list[Row]:
    """All score rows of a project (or of all), flat, oldest annotation first."""
    return readable_rows(store, project)[0]


def readable_rows(store: Store, project: ProjectKey | None = None) -> tuple[list[Row], int]:
    """The score rows as above, and how many more there are that cannot be read.

    A row is written by one version and read by another; one of them must never cost the page.
    """
    conditions = of_project(schema.scores, resolve(store, project))
    found = store.rows(schema.scores, *conditions)
    rows = [row for each in found if (row := _flat(each)) is not None]
    order = ("at", "server", "annotation_id", "position")
    rows.sort(key=lambda row: tuple(row[name] for name in order))
    return rows, len(found) - len(rows)


def _flat(stored: Row) -> Row | None:
    data = stored["data"]
    if not isinstance(data, dict) or not all(isinstance(data.get(name), str) for name in TEXTS):
        return None
    if not data.keys() >= NEEDED or not all(_is_number(data.get(name)) for name in NUMBERS):
        return None
    for name, length in (("point", 2), ("corrected", 2), ("size", 2), ("box", 4)):
        place = data.get(name, [0] * length)
        if not isinstance(place, list) or len(place) != length:
            return None
        if not all(number(part) is not None for part in place):
            return None
    return {**{name: value for name, value in stored.items() if name != "data"}, **data}


def _is_number(value: object) -> bool:
    return value is None or number(value) is not None


def of_project(table: sa.Table, project: ProjectKey | None) -> list[sa.ColumnElement[bool]]:
    """The conditions that choose a project's rows; none for all projects."""
    if project is None:
        return []
    return [table.c.server == project.server, table.c.project_id == project.id]


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
