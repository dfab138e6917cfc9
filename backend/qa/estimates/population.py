"""What was predicted in a project, and which of it was reviewed in a way that an estimate can use.

A review counts where it was drawn without a prediction in sight, or is ground truth: whoever sees
a prediction tends to accept it.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.labeling.shapes import number
from backend.qa.events import Row
from backend.qa.figures import holds_for_most, point_of
from backend.qa.queries import of_project, score_rows
from backend.qa.scoring import num_points
from backend.qa.store import Store
from backend.qa.words import words_of


@dataclass(frozen=True)
class Predicted:
    """One task and what one model version predicted in it."""

    id: int
    score: float | None
    points: int
    video: Hashable
    hits: float | None  # of its points, where a review counts


@dataclass(frozen=True)
class Population:
    """The tasks of a project that have a prediction of one version with at least one point."""

    model_version: str
    tasks: list[Predicted]
    reviews: dict[str, int]  # annotations by how they came about, those that count and the others
    other_versions: dict[str, int] = field(default_factory=dict)  # tasks whose newest is another's
    without_points: int = 0


def read_population(
    store: Store, project: ProjectKey, model_version: str | None = None
) -> Population:
    """What the store knows of a project; of the version that most tasks' newest prediction has."""
    newest = _newest(store, project, model_version)
    counts = Counter(row["model_version"] for row in newest.values())
    version = model_version or (max(counts, key=lambda v: (counts[v], v)) if counts else "")
    hits, reviews = _reviewed(score_rows(store, project), version)
    data = {row["id"]: row["data"] for row in store.rows(
        schema.tasks, *of_project(schema.tasks, project)
    )}  # fmt: skip
    tasks, empty = [], 0
    for id, row in sorted(newest.items()):
        if row["model_version"] != version:
            continue
        points = num_points(row["result"])
        if not points:
            empty += 1
            continue
        share = hits.get(id)
        tasks.append(
            Predicted(
                id=id,
                score=number(row["score"]),
                points=points,
                video=words_of(data.get(id, {})).told_video or ("task", id),
                hits=None if share is None else share * points,
            )
        )
    others = {name: count for name, count in sorted(counts.items()) if name != version}
    return Population(version, tasks, reviews, others, empty)


def _newest(store: Store, project: ProjectKey, model_version: str | None) -> dict[int, Row]:
    """The newest prediction of each living task; of one version where that is given."""
    table, tasks = schema.predictions, schema.tasks
    gone = set(_ids(store, tasks, project, tasks.c.deleted_at.is_not(None)))
    wanted = [] if model_version is None else [table.c.model_version == model_version]
    rows = store.rows(table, *of_project(table, project), *wanted)
    rows.sort(key=lambda row: (row["created_at"], row["key"]))
    return {row["task_id"]: row for row in rows if row["task_id"] not in gone}


def _ids(
    store: Store, table: sa.Table, project: ProjectKey, *conditions: sa.ColumnElement[bool]
) -> list[int]:
    query = sa.select(table.c.id).where(*of_project(table, project), *conditions)
    with store.read() as connection:
        return list(connection.execute(query).scalars())


def _reviewed(rows: Sequence[Row], version: str) -> tuple[dict[int, float], dict[str, int]]:
    """Share of each task's points that hit, and annotations by how they came about."""
    points: dict[int, dict[Hashable, list[bool]]] = defaultdict(lambda: defaultdict(list))
    annotations: dict[str, set[int]] = {
        name: set() for name in ("independent", "accepted", "edited", "bulk")
    }
    for row in rows:
        if row["model_version"] != version or row["outcome"] == "skipped":
            continue
        free = row["independent"] or row["ground_truth"]
        if row["kind"] == "annotation":
            kind = "independent" if free else row["outcome"]
            if kind in annotations:
                annotations[kind].add(row["annotation_id"])
        used = row["counted"] or row.get("compared")
        if used and free and row["hit"] is not None and row["outcome"] != "bulk":
            points[row["task_id"]][point_of(row)].append(bool(row["hit"]))
    shares = {
        task: sum(map(holds_for_most, found.values())) / len(found)
        for task, found in points.items()
    }
    return shares, {name: len(ids) for name, ids in annotations.items()}
