"""What the store keeps of bulk acceptance: looks, rules, and the tasks that each rule took."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from backend.database import schema
from backend.database.json_text import json_text
from backend.database.keys import ProjectKey
from backend.qa.estimates.rounds import change, keep, kept
from backend.qa.events import Row
from backend.qa.store import Store

ACTIVE, WITHDRAWN, ENDED = "active", "withdrawn", "ended"


class Taken(StrEnum):
    """What became of a task that a rule took."""

    check = "check"  # left to people: a spot check
    wanted = "wanted"  # to be accepted; Label Studio was not asked, or has not answered yet
    made = "made"  # accepted: `annotation_id` is the rule's
    left = "left"  # Label Studio has an annotation by then, or no such prediction any more
    removed = "removed"  # accepted, and taken back
    touched = "touched"  # accepted, and changed by somebody since: theirs now


@dataclass(frozen=True)
class Rule:
    """From which score on predictions of one version are accepted, and what that rests on."""

    id: int
    model_version: str
    state: str
    created_at: str
    least_score: float
    precision: float
    confidence: float
    look: int
    basis: str  # "plan" or "independent"
    tested: int
    wrong: int
    share: float  # of the tasks, that people check
    seed: int  # of the draw of these
    view: int | None = None  # Label Studio's tab with them
    reason: str = ""  # why it is no longer active

    def body(self) -> dict[str, Any]:
        own = ("id", "model_version", "state", "created_at")
        return {name: value for name, value in asdict(self).items() if name not in own}


def rules(store: Store, project: ProjectKey, version: str | None = None) -> list[Rule]:
    """The rules of a project (of one model version), oldest first."""
    names = ("id", "model_version", "state", "created_at")
    found = kept(store, project, "accept", version)
    return [Rule(**{name: row[name] for name in names}, **row["body"]) for row in found]


def make_rule(store: Store, project: ProjectKey, version: str, **body: Any) -> Rule:
    """Keep a new rule, in force."""
    made = keep(store, project, "accept", version, {"view": None, "reason": "", **body}, ACTIVE)
    return next(rule for rule in rules(store, project, version) if rule.id == made)


def change_rule(store: Store, rule: Rule) -> None:
    """Keep a rule as it is now."""
    change(store, rule.id, state=rule.state, body=rule.body())


def look_number(
    store: Store, project: ProjectKey, version: str, seen: Mapping[str, Any], *, is_new: bool = True
) -> int:
    """Which look this is, from 1; what was seen before is the same look again.

    Kept where it is new (``is_new``), shown or used: what is seen cannot be unseen.
    """
    mark = hashlib.sha256(json_text(dict(seen)).encode()).hexdigest()
    marks = [row["body"]["mark"] for row in kept(store, project, "look", version)]
    if mark in marks:
        return marks.index(mark) + 1
    if is_new:
        keep(store, project, "look", version, {"mark": mark})
    return len(marks) + 1


def taken(store: Store, rule: Rule, *states: Taken) -> list[Row]:
    """The tasks that a rule took (those in these states), by id."""
    table = schema.accepted_tasks
    wanted = [table.c.state.in_(states)] if states else []
    return store.rows(table, table.c.rule == rule.id, *wanted)


def counts(store: Store, rule: Rule) -> dict[str, int]:
    """How many tasks a rule took, by what became of them."""
    found = Counter(row["state"] for row in taken(store, rule))
    return {state.value: found[state.value] for state in Taken}


def take(store: Store, rule: Rule, tasks: Mapping[int, Taken]) -> None:
    """Add tasks to a rule."""
    rows = [{"rule": rule.id, "task_id": task, "state": state} for task, state in tasks.items()]
    if rows:
        with store.write() as connection:
            connection.execute(schema.accepted_tasks.insert(), rows)


def put(store: Store, rule: Rule, rows: Iterable[Mapping[str, Any]]) -> None:
    """Change tasks of a rule: each row has ``task_id`` and what is new."""
    table = schema.accepted_tasks
    with store.write() as connection:
        for row in rows:
            values = {name: value for name, value in row.items() if name != "task_id"}
            where = table.c.rule == rule.id, table.c.task_id == row["task_id"]
            connection.execute(table.update().where(*where).values(**values))


def held(store: Store, found: Sequence[Rule]) -> set[int]:
    """Tasks that any of these rules has: checks, and what was or is to be accepted."""
    table = schema.accepted_tasks
    free = (Taken.left, Taken.removed)
    query = sa.select(table.c.task_id).where(
        table.c.rule.in_([rule.id for rule in found]), table.c.state.not_in(free)
    )
    with store.read() as connection:
        return set(connection.execute(query).scalars())
