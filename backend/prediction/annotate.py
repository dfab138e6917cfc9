"""Bulk pre-annotation of a project through Label Studio's API.

Nothing is kept on this side: a task counts as done when Label Studio shows a prediction of this
model version. So a run may be killed at any moment, and the next one does what is left.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.label_studio.client import LabelStudio, TaskPage
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.delivery import Record, deliver, record_quietly
from backend.prediction.model import Models
from backend.prediction.predict import Outcome, predict_many
from backend.prediction.task_fields import Project, Task

logger = logging.getLogger(__name__)

SAVED_TOGETHER = 8  # tasks; so many are lost at most when a run is killed
Report = Callable[["Tally"], None]


@dataclass
class Tally:
    """How far a run is; ``failures`` are task ids with their reasons."""

    total: int = 0
    skipped: int = 0
    done: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return self.skipped + self.done + len(self.failures)


def annotate(
    label_studio: LabelStudio,
    project_id: int,
    *,
    models: Models,
    media: Media,
    record: Record,
    score_threshold: float = 0.0,
    limit: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    report: Report = lambda tally: None,
) -> Tally:
    """Predict the tasks of a project that have no prediction of this version, and save them.

    ``limit`` counts tasks that are predicted; ``overwrite`` predicts all and replaces those of
    this version; ``dry_run`` only counts.

    Raises:
        InputError: the project cannot be read, or its labeling config can never work.
    """
    config = str(label_studio.project(project_id).get("label_config") or "")
    labeling = parse_labeling(config)
    labeling.require_targets()
    model = models.for_labeling(labeling)
    version = model.version + labeling.version_suffix
    key = label_studio.key(project_id)
    project = Project(project_id, config, labeling, version, score_threshold, key)
    tally = Tally()
    for chunk in _chunks(label_studio, project, tally, limit=limit, overwrite=overwrite):
        if dry_run:
            tally.done += len(chunk)
        else:
            outcomes = predict_many(chunk, project, batcher=model.batcher(), media=media)
            _save(label_studio, project, outcomes, tally, record, overwrite=overwrite)
        report(tally)
    report(tally)
    return tally


def _chunks(
    label_studio: LabelStudio,
    project: Project,
    tally: Tally,
    *,
    limit: int | None,
    overwrite: bool,
) -> Iterator[list[Task]]:
    """The tasks to predict, some at a time; the others are counted as skipped."""
    left = limit
    chunk: list[Task] = []
    for page in label_studio.tasks(project.id or 0):
        tally.total = page.total
        for task in page.tasks:
            if not overwrite and project.version in TaskPage.versions(task):
                tally.skipped += 1
                continue
            if left is not None and left <= 0:
                continue
            left = None if left is None else left - 1
            chunk.append(task)
            if len(chunk) == SAVED_TOGETHER:
                yield chunk
                chunk = []
        if left == 0:
            break
    if chunk:
        yield chunk


def _save(
    label_studio: LabelStudio,
    project: Project,
    outcomes: Sequence[Outcome],
    tally: Tally,
    record: Record,
    *,
    overwrite: bool,
) -> None:
    ready: list[tuple[int, dict[str, Any]]] = []
    for outcome in outcomes:
        task_id = int(outcome.task["id"])
        if outcome.prediction is None:
            tally.failures.append((task_id, outcome.error or "unknown"))
            continue
        if overwrite:
            label_studio.remove_predictions(task_id, project.version)
        ready.append((task_id, outcome.prediction))
    if not ready:
        return
    deliveries = deliver(label_studio, project.id or 0, ready)
    for delivery in deliveries:
        if delivery.error is not None:
            tally.failures.append((delivery.task, delivery.error))
            continue
        tally.done += 1
    key = project.key or label_studio.key(project.id or 0)
    new = [(each.task, each.prediction) for each in deliveries if each.new and not each.error]
    record_quietly(record, key, new)
