"""One /predict request, whatever its size: answered within its time budget, the rest queued.

Label Studio sends all selected tasks in one request and gives up after 100 s with everything lost.
So tasks are predicted until the budget is spent; what is left goes to the job list and reaches
Label Studio through its API. An item without ``result`` makes Label Studio store nothing for that
task (an empty ``result`` would mark it as predicted).
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from backend.prediction.jobs import Job
from backend.prediction.loading import Project, Task
from backend.prediction.model import ModelLoadingError, ModelNotReadyError
from backend.prediction.predict import Outcome, Prediction, predict_each
from backend.web.service import Service

logger = logging.getLogger(__name__)

MODEL_WAIT = 45.0  # seconds a request waits for weights that are still loading
SPARE_THREADS = 3
LABEL_STUDIO_WAITS = 95.0  # seconds; 100 in truth, with some for the way back
SAVE_TIME = 0.4  # seconds Label Studio takes to save one prediction (0.3 measured)
MAX_SAVE_TIME = 30.0  # longer, and deleting predictions to get new ones would be held up
PENDING = "Queued: it will be saved through Label Studio's API, see /jobs."
KEPT = "Still being predicted: press 'Retrieve predictions' again later, see /jobs."


def answer(tasks: Sequence[Task], project: Project, service: Service) -> list[dict[str, Any]]:
    """One item for every task, in order: a prediction, or ``error`` where there is none (yet)."""
    batch = _Batch(tasks, project, service)
    try:
        with service.traffic as active:
            batch.settle_known()
            # Some threads stay free, so that /health and /setup always find one.
            if active <= service.settings.threads - SPARE_THREADS:
                batch.predict()
    finally:
        batch.queue_rest()  # after a defect too: nothing stays claimed by a request that is gone
    return batch.items()


class _Batch:
    """The state of one request: which positions are settled, and which are still to do."""

    def __init__(self, tasks: Sequence[Task], project: Project, service: Service) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + service.settings.predict_budget
        self.tasks = tasks
        self.project = project
        self.service = service
        self.jobs = service.jobs
        self._items: dict[int, dict[str, Any]] = {}
        self._todo = list(range(len(tasks)))
        label_studio = service.connections.get(project.key)
        self.can_deliver = label_studio is not None and label_studio.has_token

    def settle_known(self) -> None:
        """Answer what the job list knows, and claim the rest for this request."""
        saving = min(1.5 + SAVE_TIME * len(self.tasks), MAX_SAVE_TIME)
        with self.jobs.exclusive():  # two requests at once must not claim the same task
            self._settle_known(saving)

    def _settle_known(self, saving: float) -> None:
        todo, again = [], []
        for index in self._todo:
            key = self._key(index)
            state, since = (key and self.jobs.state(*key)) or ("new", 0.0)
            if key and state == "ready" and (kept := self.jobs.take_ready(*key)):
                self._settle(index, kept)
            elif state in ("queued", "running"):
                self._items[index] = self._no_result(PENDING)
            elif state == "done" and self.can_deliver and time.time() - since < saving:
                # Just answered: Label Studio may be saving it this moment. The job list looks
                # before it saves, so that the task gets its prediction once.
                self._items[index] = self._no_result(PENDING)
                again.append(index)
            else:
                todo.append(index)
        self._todo = todo
        self._enqueue(again, delay=saving)
        self.jobs.begin(*self._scope(), [self.tasks[i] for i in todo if self._key(i)])

    def predict(self) -> None:
        """Predict while the time lasts; it counts for fetching too."""
        model = self.service.models.for_labeling(self.project.labeling)
        try:
            batcher = model.batcher(timeout=min(MODEL_WAIT, self.deadline - time.monotonic()))
        except ModelLoadingError:
            return  # the queue waits for it
        except ModelNotReadyError as error:
            self._fail_rest(str(error))
            return
        todo, self._todo = self._todo, []
        found = predict_each(
            [self.tasks[index] for index in todo],
            self.project,
            batcher=batcher,
            media=self.service.media,
            deadline=self.deadline,
        )
        for place, outcome in found:
            self._settle_outcome(todo[place], outcome)

    def queue_rest(self) -> None:
        """Hand over what the time did not suffice for."""
        self._todo = [index for index in range(len(self.tasks)) if index not in self._items]
        keyed = [index for index in self._todo if self._key(index)]
        self.jobs.requeue([self._job(index) for index in keyed])
        for index in self._todo:
            if self._key(index) is None:
                reason = "The time was up, and without ids the task cannot be queued."
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
        if outcome.prediction is not None:
            self._settle(index, outcome.prediction)
        else:
            self._fail(index, outcome.error or "unknown")

    def _settle(self, index: int, prediction: Prediction) -> None:
        key = self._key(index)
        if key is not None and time.monotonic() - self.started > LABEL_STUDIO_WAITS:
            # One video can take longer than Label Studio waits: the job list delivers it.
            self._items[index] = self._no_result(PENDING if self.can_deliver else KEPT)
            self.jobs.keep(self._job(index), prediction, reason="Took longer than a request may.")
            return
        self._items[index] = prediction
        if key is not None:
            self.service.store.record_predictions(self.project.key, key[1], [prediction])
            self.jobs.finish(self._job(index))

    def _fail(self, index: int, reason: str) -> None:
        self._items[index] = self._no_result(reason)
        if self._key(index) is not None:
            self.jobs.fail(self._job(index), reason)

    def _fail_rest(self, reason: str) -> None:
        for index in self._todo:
            self._fail(index, reason)
        self._todo = []

    def _enqueue(self, indices: Sequence[int], *, delay: float) -> None:
        tasks = [self.tasks[index] for index in indices]
        if tasks:
            self.jobs.enqueue(*self._scope(), tasks, delay=delay)

    def _scope(self) -> tuple[int, str, str]:
        return self.project.id or 0, self.project.config, self.project.version

    def _key(self, index: int) -> tuple[int, int, str] | None:
        """What the job list knows a task by; None for tasks that were never saved."""
        task_id = self.tasks[index].get("id")
        if self.project.id is None or not isinstance(task_id, int):
            return None
        return self.project.id, task_id, self.project.version

    def _job(self, index: int) -> Job:
        project, config, version = self._scope()
        return Job(project, self.tasks[index], version, config)

    def _no_result(self, reason: str) -> dict[str, Any]:
        return {"error": reason, "model_version": self.project.version}
