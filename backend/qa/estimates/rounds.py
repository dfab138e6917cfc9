"""What was drawn for review and what was accepted in bulk, as the store keeps it."""

from collections.abc import Mapping
from typing import Any

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.estimates.plan import Round
from backend.qa.events import Row
from backend.qa.queries import of_project
from backend.qa.store import Store
from backend.qa.times import now


def keep(
    store: Store, project: ProjectKey, kind: str, version: str, body: Mapping[str, Any],
    state: str = "active",
) -> int:  # fmt: skip
    """Keep a plan, a look or a rule; returns its id."""
    row = {
        "server": project.server, "project_id": project.id, "kind": kind, "model_version": version,
        "state": state, "created_at": now(), "body": dict(body),
    }  # fmt: skip
    with store.write() as connection:
        made = connection.execute(schema.review_rounds.insert().values(**row))
    (id,) = made.inserted_primary_key or (0,)
    return int(id)


def change(store: Store, id: int, *, state: str, body: Mapping[str, Any]) -> None:
    """Replace the state and body of what was kept."""
    table = schema.review_rounds
    update = table.update().where(table.c.id == id).values(state=state, body=dict(body))
    with store.write() as connection:
        connection.execute(update)


def kept(store: Store, project: ProjectKey, kind: str, version: str | None = None) -> list[Row]:
    """What was kept of a project, oldest first."""
    table = schema.review_rounds
    of_version = [] if version is None else [table.c.model_version == version]
    return store.rows(table, *of_project(table, project), table.c.kind == kind, *of_version)


def plans(store: Store, project: ProjectKey, version: str) -> list[Round]:
    """The rounds that were drawn of one version's predictions."""
    return [
        Round(row["body"]["edges"], row["body"]["members"], row["body"]["chosen"])
        for row in kept(store, project, "plan", version)
    ]
