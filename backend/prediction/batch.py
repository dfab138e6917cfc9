"""One /predict request, whatever its size: answered within its time budget, the rest queued.

Label Studio sends all selected tasks in one request and gives up after 100 s with everything lost;
what is answered it saves at 3 predictions a second, what comes through its API a hundred times as
fast. So a large request is queued as a whole where the API can be used; of others, tasks are
predicted until the budget is spent, and what is left goes to the job list. An item without
``result`` makes Label Studio store nothing for that task (an empty ``result`` would mark it as
predicted).
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Semaphore
from typing import Any

import sqlalchemy as sa

from backend.database.engine import short
from backend.database.keys import ProjectKey
from backend.label_studio.connections import Connections
from backend.media.media import Media
from backend.prediction.delivery import Pair, Record, record_quietly
from backend.prediction.job_rows import Job
from backend.prediction.jobs import Jobs
from backend.prediction.model import ModelLoadingError, ModelNotReadyError, Models
from backend.prediction.predict import Outcome, Prediction, predict_each
from backend.prediction.task_fields import Project, Task, id_of

logger = logging.getLogger(__name__)

MODEL_WAIT = 45.0  # seconds a request waits for weights that are still loading
SPARE_THREADS = 3
LABEL_STUDIO_WAITS = 95.0  # seconds; 100 in truth, with some for the way back
SAVE_TIME = 0.4  # seconds Label Studio takes to save one prediction (0.3 measured)
MAX_SAVE_TIME = 30.0  # longer, and deleting predictions to get new ones would be held up
DIRECT = 20  # tasks; larger requests are queued where there is a token
PENDING = "Queued: it will be saved through Label Studio's API, see /jobs."
WITHOUT_ID = "The time was up, and without ids the task cannot be queued."
NOT_QUEUED = "The time was up, and the job list cannot be written: see the backend's log."
KEPT = "Still being predicted: press 'Retrieve predictions' again later, see /jobs."


@dataclass(frozen=True)
class Batches:
    """Answers requests for predictions; what it needs of the running backend."""

    jobs: Jobs
    models: Models
    media: Media
    connections: Connections
    record: Record
    predict_budget: float
    places: Semaphore  # one for each request that may be predicted at a time

    def answer(self, tasks: Sequence[Task], project: Project) -> list[dict[str, Any]]:
        """One item for every task, in order: a prediction, or ``error`` where there is none (yet).

        Raises:
            SQLAlchemyError: many tasks came, and the job list cannot be written.
        """
        batch = _Batch(tasks, project, self)
        if batch.can_deliver and len(tasks) > DIRECT:
            return batch.queue_all()
        try:
            with self.place() as free:
                batch.settle_known()
                if free:
                    batch.predict()
        finally:
            batch.queue_rest()  # after a defect too: nothing stays claimed
        return batch.items()

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Whether a thread may be used for predicting; it counts as used until the block ends."""
        free = self.places.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self.places.release()


def places(threads: int) -> Semaphore:
    """Of so many request threads some stay free, so that /health and /setup always find one."""
    return Semaphore(threads - SPARE_THREADS)


class _Batch:
    """The state of one request: which positions are settled, and which are still to do."""

    def __init__(self, tasks: Sequence[Task], project: Project, parts: Batches) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + parts.predict_budget
        self.tasks = tasks
        self.project = project
        self.key = project.key or (None if project.id is None else ProjectKey("", project.id))
        self.parts = parts
        self.jobs = parts.jobs
        self._items: dict[int, dict[str, Any]] = {}
        self._todo = list(range(len(tasks)))
        self._claimed: dict[int, Job] = {}  # by task; those of this request
        label_studio = parts.connections.get(self.key)
        self.can_deliver = label_studio is not None and label_studio.has_token

    def queue_all(self) -> list[dict[str, Any]]:
        """Leave all of it to the runner; tasks without ids cannot be queued."""
        keyed = [task for index, task in enumerate(self.tasks) if self._is_keyed(index)]
        if self.key is not None:
            self.jobs.enqueue(self.key, self.project.config, self.project.version, keyed)
        logger.info("project %s: %d tasks queued", self.project.id, len(keyed))
        return [
            self._no_result(PENDING if self._is_keyed(index) else WITHOUT_ID)
            for index in range(len(self.tasks))
        ]

    def settle_known(self) -> None:
        """Answer what the job list knows, and claim the rest for this request."""
        keyed = [index for index in self._todo if self._is_keyed(index)]
        if self.key is None or not keyed:
            return
        saving = min(1.5 + SAVE_TIME * len(self.tasks), MAX_SAVE_TIME)
        scope = self.key, self.project.config, self.project.version
        try:
            claimed = self.jobs.begin(*scope, [self.tasks[i] for i in keyed], saving=saving)
        except sa.exc.SQLAlchemyError as error:
            # Somebody waits for these few: they get their predictions all the same.
            logger.warning("the job list cannot be written; the request goes on without it: %s",
                           short(error))  # fmt: skip
            return
        self._claimed = claimed.jobs
        kept: list[Pair] = []
        for index in keyed:
            task = int(self.tasks[index]["id"])
            if task in claimed.kept:
                self._items[index] = claimed.kept[task]
                kept.append((task, claimed.kept[task]))
            elif task in claimed.pending:
                self._items[index] = self._no_result(PENDING)
        record_quietly(self.parts.record, self.key, kept)
        self._todo = [index for index in self._todo if index not in self._items]

    def predict(self) -> None:
        """Predict while the time lasts; it counts for fetching too."""
        if not self._todo:
            return
        model = self.parts.models.for_labeling(self.project.labeling)
        try:
            batcher = model.batcher(timeout=min(MODEL_WAIT, self.deadline - time.monotonic()))
        except ModelLoadingError:
            return  # the queue waits for it
        except ModelNotReadyError as error:
            if self.parts.models.ready_elsewhere(self.project.version):
                return  # the queue is theirs, too
            for index in self._todo:
                self._settle(index, None, str(error))
            self._todo = []
            return
        todo, self._todo = self._todo, []
        found = predict_each(
            [self.tasks[index] for index in todo],
            self.project,
            batcher=batcher,
            media=self.parts.media,
            deadline=self.deadline,
        )
        for place, outcome in found:
            self._settle_outcome(todo[place], outcome)

    def queue_rest(self) -> None:
        """Hand over what the time did not suffice for."""
        self._todo = [index for index in range(len(self.tasks)) if index not in self._items]
        jobs = [job for index in self._todo if (job := self._job(index)) is not None]
        if jobs:
            self._note(lambda: self.jobs.requeue(jobs))
        for index in self._todo:
            if self._job(index) is None:
                reason = WITHOUT_ID if not self._is_keyed(index) else NOT_QUEUED
            else:
                reason = PENDING if self.can_deliver else KEPT
            self._items[index] = self._no_result(reason)
        if self._todo:
            logger.info(
                "project %s: %d of %d tasks queued",
                self.project.id, len(self._todo), len(self.tasks),
            )  # fmt: skip

    def items(self) -> list[dict[str, Any]]:
        """The answer."""
        items = [self._items[index] for index in range(len(self.tasks))]
        errors = {item["error"] for item in items if "result" not in item}
        if errors and not any("result" in item for item in items) and not self._todo:
            logger.error("project %s: no task was predicted: %s", self.project.id, min(errors))
        return items

    def _settle_outcome(self, index: int, outcome: Outcome) -> None:
        job = self._job(index)
        late = time.monotonic() - self.started > LABEL_STUDIO_WAITS
        if late and outcome.prediction is not None and job is not None:
            # One video can take longer than Label Studio waits: the job list delivers it.
            pair = job, outcome.prediction
            self._note(lambda: self.jobs.keep([pair], reason="Took longer than a request may."))
            self._items[index] = self._no_result(PENDING if self.can_deliver else KEPT)
            return
        self._settle(index, outcome.prediction, outcome.error or "unknown")

    def _settle(self, index: int, prediction: Prediction | None, reason: str) -> None:
        job = self._job(index)
        if prediction is None:
            self._items[index] = self._no_result(reason)
            if job is not None:
                self._note(lambda: self.jobs.fail([(job, reason)]))
            return
        self._items[index] = prediction
        if job is not None:
            self._note(lambda: self.jobs.finish([job]))
        if self.key is not None and self._is_keyed(index):
            task = int(self.tasks[index]["id"])
            record_quietly(self.parts.record, self.key, [(task, prediction)])

    def _note(self, change: Callable[[], None]) -> None:
        """Change the job list; if that fails the leases end, and the runner looks what is there."""
        try:
            change()
        except sa.exc.SQLAlchemyError as error:
            logger.warning("the job list cannot be written; its jobs are looked at again later: %s",
                           short(error))  # fmt: skip

    def _is_keyed(self, index: int) -> bool:
        """Whether the job list can know a task: some were never saved, and have no id."""
        return self.key is not None and id_of(self.tasks[index]) is not None

    def _job(self, index: int) -> Job | None:
        task = id_of(self.tasks[index])
        return None if task is None else self._claimed.get(task)

    def _no_result(self, reason: str) -> dict[str, Any]:
        return {"error": reason, "model_version": self.project.version}
