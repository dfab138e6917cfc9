"""Works through the job list in the background and hands predictions to Label Studio."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from backend.label_studio.client import Connections, LabelStudioError
from backend.labeling.config import parse_labeling
from backend.labeling.controls import Labeling
from backend.media.media import Media
from backend.prediction.batcher import Priority
from backend.prediction.delivery import deliver
from backend.prediction.jobs import Job, Jobs
from backend.prediction.loading import Project
from backend.prediction.model import ModelLoadingError, ModelNotReadyError, Models
from backend.prediction.predict import Outcome, predict_many
from backend.store import EventStore
from videogem.errors import InputError

logger = logging.getLogger(__name__)

CHUNK = 8  # tasks that share a pass of the image tower; the tower is saturated there on a CPU
RETRY_DELAYS = (5.0, 30.0, 120.0, 600.0)  # seconds until Label Studio is tried again
MODEL_WAIT = 10.0
IDLE_WAIT = 60.0
RATE_WINDOW = 50


def chunk_size(labeling: Labeling) -> int:
    """How many tasks are done together: videos one by one, as each is a batch of its own."""
    return 1 if any(target.source.kind == "video" for target in labeling.targets) else CHUNK


class Runner:
    """One thread that takes jobs, predicts them together and delivers the predictions."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        models: Models,
        media: Media,
        connections: Connections,
        store: EventStore,
        score_threshold: float,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._media = media
        self._connections = connections
        self._store = store
        self._score_threshold = score_threshold
        self._finished: deque[float] = deque(maxlen=RATE_WINDOW)
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the current chunk."""
        with self._jobs.changed:
            self._stop = True
            self._jobs.changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def per_second(self) -> float | None:
        """Tasks finished per second of late; None while nothing can be said."""
        times = list(self._finished)
        if len(times) < 2 or times[-1] <= times[0]:
            return None
        return (len(times) - 1) / (times[-1] - times[0])

    def _run(self) -> None:
        while not self._stop:
            try:
                worked = self._step()
            except Exception:
                # The top of a thread: a defect must not end the queue for good.
                logger.exception("the job list stumbled; it goes on in %s s", RETRY_DELAYS[0])
                worked = False
                time.sleep(min(RETRY_DELAYS))
            if not worked:
                self._wait()

    def _wait(self) -> None:
        with self._jobs.changed:
            if self._stop:
                return
            due = self._jobs.next_due()
            wait = IDLE_WAIT if due is None else min(max(due - time.time(), 0.05), IDLE_WAIT)
            self._jobs.changed.wait(wait)

    def _step(self) -> bool:
        """Do one chunk of work; False where there is nothing to do now."""
        ready = self._jobs.claim_ready(CHUNK * 4)
        waiting: list[Job] = []
        try:
            if ready:
                self.deliver([(job, job.prediction) for job in ready if job.prediction])
            waiting = self._jobs.claim(CHUNK)
            if waiting:
                size = chunk_size(parse_labeling(waiting[0].config))
                self._jobs.requeue(waiting[size:])
                waiting = waiting[:size]
                self._predict(waiting)
        except BaseException:
            self._jobs.requeue([*ready, *waiting], delay=RETRY_DELAYS[0])
            raise
        return bool(ready or waiting)

    def _predict(self, jobs: Sequence[Job]) -> None:
        first = jobs[0]
        labeling = parse_labeling(first.config)
        try:
            labeling.require()
            batcher = self._models.for_labeling(labeling).batcher(timeout=MODEL_WAIT)
        except ModelLoadingError:
            self._jobs.requeue(jobs)
            return
        except (ModelNotReadyError, InputError) as error:
            self._fail(jobs, str(error))
            return
        project = Project(
            first.project,
            first.config,
            labeling,
            first.version,
            self._score_threshold,
            self._connections.key(first.project),
        )
        tasks = [job.task for job in jobs]
        outcomes = predict_many(
            tasks, project, batcher=batcher, media=self._media, priority=Priority.JOBS
        )
        self._settle(jobs, outcomes)

    def _settle(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        ready: list[tuple[Job, dict[str, Any]]] = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.prediction is None:
                self._jobs.fail(job, outcome.error or "unknown")
                self._finished.append(time.monotonic())
            else:
                ready.append((job, outcome.prediction))
        if ready:
            self.deliver(ready)

    def _fail(self, jobs: Sequence[Job], reason: str) -> None:
        for job in jobs:
            self._jobs.fail(job, reason)

    def deliver(self, ready: Sequence[tuple[Job, dict[str, Any]]]) -> None:
        """Save predictions in Label Studio; what cannot be saved now is kept and tried again."""
        project = ready[0][0].project
        label_studio = self._connections.get(self._connections.key(project))
        if label_studio is None or not label_studio.has_token:
            for job, prediction in ready:
                self._jobs.keep(
                    job,
                    prediction,
                    reason="Predicted; Label Studio gets it when it asks again, or when "
                    "VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY are set.",
                    delay=RETRY_DELAYS[-1],
                )
                if job.prediction is None:  # predicted just now, not only tried again
                    self._finished.append(time.monotonic())
            return
        pairs = [(job.task_id, prediction) for job, prediction in ready]
        try:
            deliveries = deliver(label_studio, project, pairs)
        except LabelStudioError as error:
            for job, prediction in ready:
                delay = RETRY_DELAYS[min(job.attempts, len(RETRY_DELAYS) - 1)]
                self._jobs.keep(job, prediction, reason=str(error), delay=delay)
            logger.warning("project %s: predictions are kept for later: %s", project, error)
            return
        by_task = {job.task_id: job for job, _ in ready}
        for delivery in deliveries:
            job = by_task[delivery.task]
            if delivery.error is not None:
                self._jobs.fail(job, delivery.error)
                continue
            if delivery.new:
                key = self._connections.key(project)
                self._store.record_predictions(key, delivery.task, [delivery.prediction])
            self._jobs.finish(job)
            self._finished.append(time.monotonic())
