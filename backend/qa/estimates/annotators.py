"""How reliable each annotator of a project is: from tasks that several people did, and honeypots.

Only what was drawn without a prediction in sight counts: two who accepted one prediction agree with
the model, not with each other. Ground truth is the truth of its task; whose it is is not rated.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.agreement import boxes_of
from backend.qa.candidates import is_independent
from backend.qa.estimates.dawid_skene import Floats, fit, intervals
from backend.qa.estimates.place_noise import scales
from backend.qa.events import Row
from backend.qa.queries import of_project
from backend.qa.regions import read_result
from backend.qa.scoring import is_bulk
from backend.qa.store import Store
from backend.qa.words import words_of
from videogem.metrics import box_iou
from videogem.structures import Box

MIN_TASKS = 10  # that somebody did and others, too; below, nothing is said
MOST_TASKS = 5000  # shared ones, the newest: more would tell little and take seconds
FEWEST = 0.5  # tasks that are likely of a kind; below, the prior alone would answer
SAME = 0.1  # boxes that overlap less are not of one thing


@dataclass(frozen=True)
class Answers:
    """What people said of each task: rows are tasks, columns annotators."""

    people: list[int]
    present: Floats  # (num_tasks, num_people) 1, 0 or NaN
    truth: Floats  # (num_tasks) alike
    places: Floats  # (num_places, num_people, 4) in units of the box's side
    true_places: Floats  # (num_places, 4)
    videos: np.ndarray  # (num_places)
    apart: Floats  # (num_people) places where somebody's box is of another thing
    not_counted: int  # annotations of these tasks made with a prediction in sight, or in bulk


def rate_annotators(store: Store, project: ProjectKey) -> Row:
    """Each annotator's chance to tell whether the action is there, and noise of boxes, as JSON."""
    found = read_answers(store, project)
    known = ~np.isnan(found.present)
    is_shared = known.sum(axis=1) + ~np.isnan(found.truth) >= 2
    shared = known[is_shared].sum(axis=0)
    seen = fit(found.present[is_shared], found.truth[is_shared])
    ends = intervals(found.present[is_shared], found.truth[is_shared])
    there, away = seen.present @ known[is_shared], (1 - seen.present) @ known[is_shared]
    noise = scales(found.places, found.true_places, found.videos)
    drew = ~np.isnan(found.places[..., 0])
    rows = []
    for k, person in enumerate(found.people):
        row: Row = {"annotator": person, "tasks": int(shared[k])}
        row["sees"] = _rate(seen.sensitivity[k], ends.sensitivity[k], shared[k], there[k], "is")
        row["sees_absence"] = _rate(
            seen.specificity[k], ends.specificity[k], shared[k], away[k], "is not"
        )
        row["noise"] = _noise(noise.scale[k], noise.low[k], noise.high[k], int(drew[:, k].sum()))
        row["noise"]["of_another_thing"] = int(found.apart[k])
        rows.append(row)
    rows.sort(key=lambda row: (-row["tasks"], row["annotator"]))
    return {
        "annotators": rows,
        "honeypots": int((~np.isnan(found.truth)).sum()),
        "not_counted": found.not_counted,
    }


def _rate(rate: float, ends: Floats, tasks: float, of: float, where: str) -> Row:
    """A rate in ``of`` tasks (as far as is known) of those that others did, too."""
    if tasks < MIN_TASKS:
        return {"unknown": f"{int(tasks)} of at least {MIN_TASKS} tasks that others did, too"}
    if of < FEWEST:
        return {"unknown": f"no task that others did, too, where the action {where} there"}
    # The likeliest value of somebody who never erred lies just outside an interval of equal tails.
    low, high = min(rate, ends[0]), max(rate, ends[1])
    return {"rate": float(rate), "low": float(low), "high": float(high)}


def _noise(scale: float, low: float, high: float, places: int) -> Row:
    if places < MIN_TASKS:
        reason = f"{places} of at least {MIN_TASKS} boxes that others drew, too"
        return {"unknown": reason, "boxes": places}
    if np.isnan(scale):
        reason = "drawn by two people only: a third, or ground truth, tells whose noise it is"
        return {"unknown": reason, "boxes": places}
    return {"scale": float(scale), "low": float(low), "high": float(high), "boxes": places}


def read_answers(store: Store, project: ProjectKey) -> Answers:
    """Who said what of the newest tasks that several people did or that have ground truth; of
    several annotations of one person the newest counts.
    """
    table, tasks_table = schema.annotations, schema.tasks
    shared = _shared_tasks(project)
    alive = store.rows(table, table.c.task_id.in_(shared), *_submitted(project))
    truths = {row["task_id"]: row for row in alive if row["ground_truth"]}
    own = [row for row in alive if not row["ground_truth"] and row["annotator"] is not None]
    free = [row for row in own if is_independent(row) and not is_bulk(row)]
    newest = {
        (row["task_id"], row["annotator"]): row
        for row in sorted(free, key=lambda row: (row["version"], row["id"]))
    }
    people = sorted({person for _, person in newest})
    column = {person: k for k, person in enumerate(people)}
    by_task: dict[int, dict[int, Row]] = {task: {} for task in truths}
    for (task, person), row in newest.items():
        by_task.setdefault(task, {})[column[person]] = row
    tasks = sorted(by_task)
    present = np.full((len(tasks), len(people)), np.nan)
    truth = np.full(len(tasks), np.nan)
    for index, task in enumerate(tasks):
        for k, row in by_task[task].items():
            present[index, k] = bool(read_result(row["result"]).regions)
        if task in truths:
            truth[index] = bool(read_result(truths[task]["result"]).regions)
    known = store.rows(tasks_table, *of_project(tasks_table, project), tasks_table.c.id.in_(shared))
    data = {row["id"]: row["data"] for row in known}
    apart = np.zeros(len(people))
    places, true_places, videos = [], [], []
    names: dict[object, int] = {}
    for task in tasks:
        drawn = {k: _single_boxes(row) for k, row in by_task[task].items()}
        true = _single_boxes(truths[task]) if task in truths else {}
        video = words_of(data.get(task, {})).told_video or ("task", task)
        for item in sorted({item for boxes in (*drawn.values(), true) for item in boxes}):
            own_boxes = {k: boxes[item] for k, boxes in drawn.items() if item in boxes}
            place = _place(own_boxes, true.get(item), len(people), apart)
            if place is not None:
                places.append(place[:-1])
                true_places.append(place[-1])
                videos.append(names.setdefault(video, len(names)))
    return Answers(
        people=people,
        present=present,
        truth=truth,
        places=np.asarray(places, dtype=np.float64).reshape(len(places), len(people), 4),
        true_places=np.asarray(true_places, dtype=np.float64).reshape(len(places), 4),
        videos=np.asarray(videos, dtype=np.int64),
        apart=apart,
        not_counted=len(own) - len(free),
    )


def _submitted(project: ProjectKey) -> list[sa.ColumnElement[bool]]:
    table = schema.annotations
    return [
        *of_project(table, project), table.c.deleted_at.is_(None), table.c.was_cancelled.is_(False)
    ]  # fmt: skip


def _shared_tasks(project: ProjectKey) -> sa.Select[tuple[int]]:
    c = schema.annotations.c
    truths = sa.func.sum(sa.case((c.ground_truth, 1), else_=0))
    people = sa.func.count(sa.distinct(c.annotator))
    shared = sa.select(c.task_id).where(*_submitted(project), c.task_id.is_not(None))
    shared = shared.group_by(c.task_id).having(sa.or_(people > 1, truths > 0))
    return shared.order_by(c.task_id.desc()).limit(MOST_TASKS)


def _single_boxes(annotation: Row) -> dict[int, Box]:
    """The box of each frame that has exactly one: of several it is not known which is whose."""
    found = boxes_of(annotation["result"])
    return {item: boxes[0] for item, boxes in found.items() if len(boxes) == 1}


def _place(
    boxes: Mapping[int, Box], truth: Box | None, people: int, apart: Floats
) -> Floats | None:
    """Corners (num_people + 1, 4; the truth last) in units of the middle box's side.

    Boxes of another thing than most drew are no noise; they are counted in ``apart``.
    """
    if len(boxes) + (truth is not None) < 2:
        return None
    middle = np.median(np.asarray([*boxes.values()]), axis=0) if truth is None else truth
    side = float(np.sqrt(max(0.0, (middle[2] - middle[0]) * (middle[3] - middle[1]))))
    if side <= 0:
        return None
    place = np.full((people + 1, 4), np.nan)
    x1, y1, x2, y2 = (float(value) for value in middle)
    for k, box in boxes.items():
        if box_iou(box, (x1, y1, x2, y2)) < SAME:
            apart[k] += 1
        else:
            place[k] = np.asarray(box) / side
    if truth is not None:
        place[people] = np.asarray(truth) / side
    return place
