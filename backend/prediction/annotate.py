"""Bulk pre-annotation of a project through Label Studio's API.

Nothing is kept on this side: a task counts as done when Label Studio shows a prediction of this
model version. So a run may be killed at any moment, and the next one does what is left. Tasks are
listed, predicted and saved at the same time.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from backend.label_studio.client import LabelStudio, TaskPage
from backend.labeling.config import parse_labeling
from backend.labeling.targets import Labeling
from backend.media.media import Media
from backend.prediction.delivery import Pair, Record, deliver, record_quietly
from backend.prediction.model import Models
from backend.prediction.predict import Outcome, predict_each
from backend.prediction.task_fields import Project, Task

logger = logging.getLogger(__name__)

SAVED_TOGETHER = 500  # tasks
# After each request Label Studio counts anew for all tasks of the project, so fewer are saved at
# once only after
SHORTEST_GAP = 2.0  # seconds, or
GAP = 2.0  # times as long as the last request took
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


class Predictor(Protocol):
    """Whoever predicts the tasks of a run."""

    def version(self, labeling: Labeling) -> str:
        """The model version of predictions for this config.

        Raises:
            InputError: it asks for what is not offered.
        """

    def outcomes(self, tasks: Iterable[Task], project: Project) -> Generator[Outcome]:
        """One for each task, in any order, as they get ready."""


@dataclass(frozen=True)
class Here:
    """Predicts in this process."""

    models: Models
    media: Media

    def version(self, labeling: Labeling) -> str:
        return self.models.version_of(labeling)

    def outcomes(self, tasks: Iterable[Task], project: Project) -> Generator[Outcome]:
        batcher = self.models.for_labeling(project.labeling).batcher()
        found = predict_each(tasks, project, batcher=batcher, media=self.media)
        with closing(found):
            for _, outcome in found:
                yield outcome


def annotate(
    label_studio: LabelStudio,
    project_id: int,
    *,
    predictor: Predictor,
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
    version = predictor.version(labeling)
    key = label_studio.key(project_id)
    project = Project(project_id, config, labeling, version, score_threshold, key)
    tally = Tally()
    tasks = _tasks(label_studio, project, tally, limit=limit, overwrite=overwrite)
    if dry_run:
        for _ in tasks:
            tally.done += 1
        report(tally)
        return tally
    found = predictor.outcomes(tasks, project)
    with _Saver(label_studio, project, tally, record, overwrite=overwrite) as saver, closing(found):
        for outcome in found:
            saver.add(outcome)
            report(tally)
    report(tally)
    return tally


def _tasks(
    label_studio: LabelStudio,
    project: Project,
    tally: Tally,
    *,
    limit: int | None,
    overwrite: bool,
) -> Iterator[Task]:
    """The tasks to predict; the others are counted as skipped."""
    left = limit
    for page in label_studio.tasks(project.id or 0):
        tally.total = page.total
        for task in page.tasks:
            if not overwrite and project.version in TaskPage.versions(task):
                tally.skipped += 1
                continue
            if left is not None and left <= 0:
                continue
            left = None if left is None else left - 1
            yield task
        if left == 0:
            break


class _Saver:
    """Saves predictions many at a time, in a thread of its own, while more are made.

    At the end of its block the rest is saved; if the block fails, only what is on its way.
    """

    def __init__(
        self,
        label_studio: LabelStudio,
        project: Project,
        tally: Tally,
        record: Record,
        *,
        overwrite: bool,
    ) -> None:
        self._label_studio = label_studio
        self._project = project
        self._tally = tally
        self._record = record
        self._overwrite = overwrite
        self._ready: list[Outcome] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="save")
        self._saving: Future[None] | None = None
        self._due: float | None = None  # of time.monotonic
        self._gap = SHORTEST_GAP

    def __enter__(self) -> "_Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._executor:
            if error is None:
                self._wait()
                self._save(self._ready)

    def add(self, outcome: Outcome) -> None:
        """Take one more.

        Raises:
            LabelStudioError: what was taken before could not be saved.
        """
        if outcome.prediction is None:
            self._tally.failures.append((int(outcome.task["id"]), outcome.error or "unknown"))
        else:
            self._ready.append(outcome)
        now = time.monotonic()
        if self._due is None:
            self._due = now + self._gap
        if self._saving is not None:
            if not self._saving.done():
                return
            self._wait()
            self._due = now + self._gap
        elif self._ready and (len(self._ready) >= SAVED_TOGETHER or now >= self._due):
            ready, self._ready = self._ready, []
            self._saving = self._executor.submit(self._save, ready)

    def _wait(self) -> None:
        if self._saving is not None:
            saving, self._saving = self._saving, None
            saving.result()

    def _save(self, outcomes: Sequence[Outcome]) -> None:
        for start in range(0, len(outcomes), SAVED_TOGETHER):
            started = time.monotonic()
            self._save_some(outcomes[start : start + SAVED_TOGETHER])
            self._gap = max(SHORTEST_GAP, GAP * (time.monotonic() - started))

    def _save_some(self, outcomes: Sequence[Outcome]) -> None:
        version = self._project.version
        ready: list[Pair] = []
        for outcome in outcomes:
            task_id = int(outcome.task["id"])
            if self._overwrite and version in TaskPage.versions(outcome.task):
                self._label_studio.remove_predictions(task_id, version)
            if outcome.prediction is not None:
                ready.append((task_id, outcome.prediction))
        deliveries = deliver(self._label_studio, self._project.id or 0, ready)
        for delivery in deliveries:
            if delivery.error is not None:
                self._tally.failures.append((delivery.task, delivery.error))
                continue
            self._tally.done += 1
        key = self._project.key or self._label_studio.key(self._project.id or 0)
        new = [(each.task, each.prediction) for each in deliveries if each.new and not each.error]
        record_quietly(self._record, key, new)
