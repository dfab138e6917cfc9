"""What people said of suspects, written into a field of Label Studio's tasks where somebody asks.

Label Studio's own action sets the field and leaves all others alone. A PATCH of a task's data would
replace them all by what was read a moment before.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.qa.events import Row
from backend.qa.marks import Verdict
from videogem.errors import InputError

AT_ONCE = 500  # tasks in one request
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # dots would make a path of it


@dataclass(frozen=True)
class Written:
    """How many tasks got the field or another value of it, by value, and how many had it."""

    changed: Mapping[Verdict, int]
    already: int
    gone: int  # marked tasks that Label Studio no longer has


def states_of(marks: Iterable[Row]) -> dict[int, Verdict]:
    """By task, what its marks say: to be fixed if any does, else fine; open if none counts now.

    ``marks`` are those of one project (`marks.all_marks`).
    """
    found: dict[int, Verdict] = {}
    for mark in marks:
        said = Verdict(mark["verdict"]) if mark["counts"] else Verdict.open
        before = found.get(mark["task_id"], Verdict.open)
        found[mark["task_id"]] = next(
            each for each in (Verdict.fix, Verdict.fine, Verdict.open) if each in (said, before)
        )
    return found


def check_name(name: str) -> None:
    """Raises InputError where this cannot be a field of its own."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"A field's name is letters, digits and underscores, no digit first, got {name[:70]!r}."
        )


def write_field(
    api: LabelStudio, project: int, name: str, states: Mapping[int, Verdict]
) -> Written:
    """Set the field ``name`` of the marked tasks; what is right already is not written again, so it
    may be stopped at any moment and started again.

    Raises:
        InputError: tasks have a field of that name that this did not write; nothing is written.
        LabelStudioError: not reachable, refused, or the tasks do not hold what was written.
    """
    check_name(name)
    held = _read(api, project, name)
    for task, value in held.items():
        if value is not None and (task not in states or value not in set(Verdict)):
            raise InputError(
                f"Task {task} of project {project} has a field {name!r} that no mark explains; "
                "nothing was written. Choose another name."
            )
    known = {task: said for task, said in states.items() if task in held}
    wanted = {
        task: said
        for task, said in known.items()
        if held[task] != said and (said != Verdict.open or held[task] is not None)
    }
    changed = {}
    for verdict in Verdict:
        tasks = sorted(task for task, said in wanted.items() if said == verdict)
        for start in range(0, len(tasks), AT_ONCE):
            _set(api, project, name, verdict, tasks[start : start + AT_ONCE])
        if tasks:
            changed[verdict] = len(tasks)
    if wanted:
        now = _read(api, project, name)
        missed = [task for task, said in wanted.items() if task in now and now[task] != said]
        if missed:
            raise LabelStudioError(
                f"Label Studio took the field {name!r}, but {len(missed)} tasks do not hold it, "
                f"task {missed[0]} among them."
            )
    already = sum(held[task] == said for task, said in known.items())
    return Written(changed, already, len(states) - len(known))


def _read(api: LabelStudio, project: int, name: str) -> dict[int, Any]:
    """What each task of the project holds in a field; None: nothing."""
    pages = api.task_pages(project, page_size=AT_ONCE, include="id,data")
    return {task["id"]: (task.get("data") or {}).get(name) for page in pages for task in page.tasks}


def _set(api: LabelStudio, project: int, name: str, value: Verdict, tasks: list[int]) -> None:
    api.call(
        "POST",
        "/api/dm/actions",
        params={"id": "add_data_field", "project": project},
        json={
            "project": project,
            "selectedItems": {"all": False, "included": tasks},
            "value_name": name,
            "value_type": "String",
            "value": str(value),
        },
    )
