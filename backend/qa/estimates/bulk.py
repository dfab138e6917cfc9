"""Accepting predictions in Label Studio, and taking back exactly what was accepted so.

Every step is kept before Label Studio is asked, and Label Studio makes no second annotation of a
prediction in bulk: what was cut off at any moment goes on where it was, with the same result.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudioError, TaskPage
from backend.qa.estimates.rules import Rule, Taken, put, taken
from backend.qa.events import Row
from backend.qa.store import Store

AT_ONCE = 100  # tasks in one request
ACTION = "predictions_to_annotations"
NEEDED = {"id", "parent_prediction", "lead_time", "updated_at"}  # of an annotation

Told = Callable[[int, int | None], None]  # done, of how many


class Api(Protocol):
    """The calls this needs (`backend.label_studio.client.LabelStudio`)."""

    def call(self, method: str, path: str, **options: Any) -> Any: ...

    def tasks_of(self, project: int, tasks: Sequence[int]) -> Iterator[TaskPage]: ...


def accept_wanted(store: Store, api: Api, project: ProjectKey, rule: Rule, told: Told) -> int:
    """Have Label Studio make annotations of the predictions that a rule wants; how many it made.

    A task that somebody has annotated by now is left to them, and so is one whose prediction of
    this version is gone, changed to a lower score, or there twice.

    Raises:
        LabelStudioError: not reachable, or it refused; what was made until then is kept.
    """
    rows = taken(store, rule, Taken.wanted)
    made = 0
    for start in range(0, len(rows), AT_ONCE):
        told(start, len(rows))
        some = rows[start : start + AT_ONCE]
        made += _accept(store, api, project, rule, some)
    told(len(rows), len(rows))
    return made


def _accept(
    store: Store, api: Api, project: ProjectKey, rule: Rule, rows: Sequence[Row]
) -> int:  # fmt: skip
    ids = [row["task_id"] for row in rows]
    begun = {row["task_id"]: row["prediction_id"] for row in rows}
    tasks = _tasks(api, project.id, ids)
    left, asked = [], {}
    for id in ids:
        prediction = _prediction(tasks.get(id, {}), rule)
        if begun[id] is not None and _ours(tasks.get(id, {}), begun[id]) is not None:
            asked[id] = begun[id]  # made before something cut this off
        elif prediction is None or _annotations(tasks[id]):
            left.append({"task_id": id, "state": Taken.left})
        else:
            asked[id] = prediction
    put(store, rule, [*left, *({"task_id": t, "prediction_id": p} for t, p in asked.items())])
    if not asked:  # an empty list would mean all tasks to Label Studio
        return 0
    body = {
        "selectedItems": {"all": False, "included": sorted(asked)},
        "model_version": rule.model_version,
    }
    api.call("POST", f"/api/dm/actions?id={ACTION}&project={project.id}", json=body)
    tasks = _tasks(api, project.id, sorted(asked))
    found = {task: _ours(tasks.get(task, {}), prediction) for task, prediction in asked.items()}
    put(store, rule, [
        {"task_id": task, "state": Taken.left} if one is None
        else {"task_id": task, "state": Taken.made, "annotation_id": one["id"],
              "made_at": str(one.get("updated_at"))}
        for task, one in found.items()
    ])  # fmt: skip
    return sum(one is not None for one in found.values())


def take_back(store: Store, api: Api, project: ProjectKey, rule: Rule, told: Told) -> None:
    """Delete the annotations that a rule made and nobody touched.

    Raises:
        LabelStudioError: not reachable, or it refused; what was deleted until then is kept.
    """
    rows = taken(store, rule, Taken.made, Taken.wanted)
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        tasks = _tasks(api, project.id, [row["task_id"] for row in some])
        for number, row in enumerate(some):
            told(start + number, len(rows))
            state = _take_back(api, tasks.get(row["task_id"], {}), row)
            put(store, rule, [{"task_id": row["task_id"], "state": state}])
    told(len(rows), len(rows))


def _take_back(api: Api, task: Row, row: Row) -> Taken:
    if row["state"] == Taken.wanted:  # something cut it off before it knew what was made
        one = None if row["prediction_id"] is None else _ours(task, row["prediction_id"])
        if one is None:
            return Taken.left
        row = {**row, "annotation_id": one["id"], "made_at": str(one.get("updated_at"))}
    one = next((a for a in _annotations(task) if a.get("id") == row["annotation_id"]), None)
    if one is None:
        return Taken.removed
    if str(one.get("updated_at")) != row["made_at"] or not _is_untouched(one):
        return Taken.touched
    try:
        api.call("DELETE", f"/api/annotations/{row['annotation_id']}/")
    except LabelStudioError as error:
        if error.status != 404:  # somebody was quicker
            raise
    return Taken.removed


def _tasks(api: Api, project: int, ids: Sequence[int]) -> dict[int, Row]:
    return {task["id"]: task for page in api.tasks_of(project, ids) for task in page.tasks}


def _prediction(task: Row, rule: Rule) -> int | None:
    """The one prediction of the rule's version, with a score that the rule accepts."""
    found = [
        p for p in task.get("predictions") or []
        if isinstance(p, dict) and p.get("model_version") == rule.model_version
    ]  # fmt: skip
    if len(found) != 1 or type(found[0].get("id")) is not int:
        return None
    score = found[0].get("score")
    is_enough = isinstance(score, int | float) and score >= rule.least_score
    return int(found[0]["id"]) if is_enough else None


def _ours(task: Row, prediction: int) -> Row | None:
    """The annotation that was made of a prediction in bulk."""
    return next(
        (a for a in _annotations(task)
         if a.get("parent_prediction") == prediction and _is_untouched(a)),
        None,
    )  # fmt: skip


def _is_untouched(annotation: Row) -> bool:
    """Whether it has no mark of an editor: its working time, or ground truth."""
    return annotation.get("lead_time") is None and not annotation.get("ground_truth")


def _annotations(task: Row) -> list[Row]:
    found = task.get("annotations") or []
    if not all(isinstance(a, dict) and a.keys() >= NEEDED for a in found):
        raise LabelStudioError(
            "Label Studio listed annotations in a form that is not known (without "
            f"{', '.join(sorted(NEEDED))}), so what was accepted cannot be told from the rest; "
            "nothing is lost, run it again with a Label Studio that lists them."
        )
    return list(found)
