"""Works through the job list in the background: one thread predicts, another one delivers.

So Label Studio saves the last predictions while the next are made. Several processes may run at
one job list; each takes jobs of its own.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.batcher import Priority
from backend.prediction.delivery import Delivery, Record, deliver, record_quietly
from backend.prediction.job_rows import Job
from backend.prediction.jobs import SENDING, Jobs
from backend.prediction.model import ModelLoadingError, ModelNotReadyError, Models
from backend.prediction.predict import Outcome, Prediction, predict_each
from backend.prediction.task_fields import Project
from videogem.errors import InputError

logger = logging.getLogger(__name__)

CLAIM = 64  # tasks taken at once
NOTE_EVERY = 0.5  # seconds after which finished predictions are noted, and so can be delivered
NOTE_AGAIN = 1.0  # seconds until the database is tried again
DELIVERY = 5000  # predictions in one request to Label Studio
# After every request Label Studio counts anew for all tasks of the project (0.8 ms a task), so
# while more is being predicted few large requests are made:
FIRST_GAP = 5.0  # seconds from the first prediction to the first delivery
GAP = 2.0  # times as long as the last delivery took, until the next one
LONGEST_GAP = 30.0  # seconds
SENDING_PER_TASK = 0.005  # seconds it may take that long, on a busy machine
RETRY_DELAYS = (5.0, 30.0, 120.0, 600.0)  # seconds until Label Studio is tried again
MODEL_WAIT = 10.0
IDLE_WAIT = 1.0  # seconds until the list is looked at again, as other processes fill it too
RATE_SECONDS = 60.0
NO_TOKEN = (
    "Predicted; Label Studio gets it when it asks again, or when VIDEOGEM_LABEL_STUDIO_URL and "
    "VIDEOGEM_LABEL_STUDIO_API_KEY are set."
)


class Runner:
    """Takes jobs, predicts them together and delivers the predictions in bulk."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        models: Models,
        media: Media,
        connections: Connections,
        record: Record,
        score_threshold: float,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._media = media
        self._connections = connections
        self._record = record
        self._score_threshold = score_threshold
        self._finished: deque[tuple[float, int]] = deque()
        self._predicting = False
        self._deliver_after = 0.0
        self._stop = False
        self._threads = [
            threading.Thread(target=self._run, args=(step,), name=name, daemon=True)
            for name, step in (
                ("predict-jobs", self._predict_some),
                ("deliver", self._deliver_some),
            )
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the current chunk."""
        self._stop = True
        self._jobs.notify()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=30)

    def per_second(self) -> float | None:
        """Tasks predicted per second of late; None while nothing can be said."""
        times = [each for each in list(self._finished) if each[0] > time.monotonic() - RATE_SECONDS]
        if len(times) < 2 or times[-1][0] <= times[0][0]:
            return None
        return sum(count for _, count in times[1:]) / (times[-1][0] - times[0][0])

    def _count(self, number: int) -> None:
        now = time.monotonic()
        self._finished.append((now, number))
        while self._finished[0][0] < now - RATE_SECONDS:
            self._finished.popleft()

    def _run(self, step: Callable[[], bool]) -> None:
        while not self._stop:
            try:
                worked = step()
            except Exception:
                # The top of a thread: a defect must not end the queue for good.
                logger.exception("the job list stumbled; it goes on in %s s", RETRY_DELAYS[0])
                with self._jobs.changed:
                    self._jobs.changed.wait_for(lambda: self._stop, RETRY_DELAYS[0])
                continue
            if not worked and not self._stop:
                with self._jobs.changed:
                    self._jobs.changed.wait(IDLE_WAIT)

    # Predicting --------------------------------------------------------------------------------

    def _predict_some(self) -> bool:
        """Predict some jobs of one project; False where there is nothing to do now."""
        claimed = self._jobs.claim(CLAIM)
        if claimed and not self._predicting:
            self._deliver_after = max(self._deliver_after, time.monotonic() + FIRST_GAP)
        self._predicting = bool(claimed)
        if not claimed:
            self._jobs.notify()  # what is ready need not wait for more
            return False
        left = list(claimed)
        try:
            self._predict(left)
        finally:
            if left:  # stopped, the model is loading, or a defect
                self._jobs.requeue(left)
        return True

    def _predict(self, left: list[Job]) -> None:
        """Predict jobs of one project; those that are settled are taken from ``left``."""
        first = left[0]
        labeling = parse_labeling(first.config)
        try:
            labeling.require()
            version = self._models.version_of(labeling)
            if version != first.version:
                self._settle_all(
                    left, lambda jobs: self._jobs.drop(jobs, f"this backend predicts {version} now")
                )
                return
            batcher = self._models.for_labeling(labeling).batcher(timeout=MODEL_WAIT)
        except ModelLoadingError:
            return
        except (ModelNotReadyError, InputError) as error:
            reason = str(error)
            self._settle_all(left, lambda jobs: self._jobs.fail([(job, reason) for job in jobs]))
            return
        project = Project(
            first.key.id, first.config, labeling, first.version, self._score_threshold, first.key
        )
        jobs = list(left)
        outcomes: list[tuple[Job, Outcome]] = []
        noted = time.monotonic()
        found = predict_each(
            [job.task for job in jobs],
            project,
            batcher=batcher,
            media=self._media,
            priority=Priority.JOBS,
        )
        try:
            for place, outcome in found:
                outcomes.append((jobs[place], outcome))
                self._count(1)
                if self._stop:
                    break
                if time.monotonic() - noted > NOTE_EVERY:
                    self._note(outcomes, left)
                    noted = time.monotonic()
        finally:
            self._note(outcomes, left)

    def _settle_all(self, left: list[Job], settle: Callable[[Sequence[Job]], None]) -> None:
        settle(list(left))
        left.clear()

    def _note(self, outcomes: list[tuple[Job, Outcome]], left: list[Job]) -> None:
        """Write down what became of jobs; the predictions wait for the other thread.

        While the database is locked or gone they wait here: predicting them was the dear part.
        """
        while True:
            try:
                self._write_down(outcomes, left)
                return
            except SQLAlchemyError as error:
                if self._stop:
                    raise
                logger.warning("%d finished predictions wait for the database: %s",
                               len(outcomes), error)  # fmt: skip
                with self._jobs.changed:
                    self._jobs.changed.wait_for(lambda: self._stop, NOTE_AGAIN)

    def _write_down(self, outcomes: list[tuple[Job, Outcome]], left: list[Job]) -> None:
        settled = {job.id for job, _ in outcomes}
        found = [(job, each.prediction) for job, each in outcomes if each.prediction is not None]
        failed = [
            (job, each.error or "unknown") for job, each in outcomes if each.prediction is None
        ]
        if found:
            self._jobs.keep(found)
        if failed:
            self._jobs.fail(failed)
        outcomes.clear()
        left[:] = [job for job in left if job.id not in settled]

    # Delivering --------------------------------------------------------------------------------

    def _deliver_some(self) -> bool:
        """Give Label Studio some predictions of one project; False where there are none."""
        early = self._predicting and time.monotonic() < self._deliver_after
        if early and self._jobs.num_ready() < DELIVERY:
            return False
        ready = self._jobs.claim_ready(DELIVERY)
        if not ready:
            return False
        started = time.monotonic()
        try:
            self._deliver(ready)
        except BaseException:
            self._jobs.requeue(ready, delay=RETRY_DELAYS[0])
            raise
        now = time.monotonic()
        self._deliver_after = now + min(GAP * (now - started), LONGEST_GAP)
        return True

    def _deliver(self, ready: Sequence[Job]) -> None:
        """Save predictions in Label Studio; what cannot be saved now is kept and tried again."""
        key = ready[0].key
        label_studio = self._connections.get(key)
        if label_studio is None or not label_studio.has_token:
            self._jobs.keep(_pairs(ready), reason=NO_TOKEN, delay=RETRY_DELAYS[-1])
            return
        by_task = {job.task_id: job for job in ready}

        grace = SENDING

        def sending(tasks: Sequence[int]) -> set[int]:
            mine = self._jobs.sending([by_task[task] for task in tasks], grace=grace)
            return {job.task_id for job in mine}

        try:
            grace += SENDING_PER_TASK * self._ask_what_is_wanted(label_studio, ready)
            pairs = [(job.task_id, prediction) for job, prediction in _pairs(ready)]
            deliveries = deliver(label_studio, key.id, pairs, sending=sending)
        except LabelStudioError as error:
            self._deliver_later(ready, error)
            return
        self._note_delivered(by_task, deliveries)

    def _ask_what_is_wanted(self, label_studio: LabelStudio, ready: Sequence[Job]) -> int:
        """The project's config of this moment: what is no longer wanted is not sent.

        Webhooks get lost, and a backend that was down has heard none. Returns the number of tasks.
        """
        key = ready[0].key
        try:
            project = label_studio.project(key.id)
        except LabelStudioError as error:
            if error.status == 404:
                self._jobs.drop_project(key, "Label Studio has no such project")
            raise
        config = str(project.get("label_config") or "")
        self._jobs.announce(key, config, self.wanted_version(config))
        return int(project.get("task_number") or 0)

    def wanted_version(self, config: str) -> str:
        """The version a project with this config asks for; empty where it can ask for none."""
        labeling = parse_labeling(config)
        try:
            labeling.require()
            return self._models.version_of(labeling)
        except InputError:
            return ""

    def _deliver_later(self, ready: Sequence[Job], error: LabelStudioError) -> None:
        for attempts in {job.attempts for job in ready}:
            delay = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS) - 1)]
            if error.status is None:
                delay = max(delay, SENDING)  # the answer is missing; it may still be saving
            some = _pairs([job for job in ready if job.attempts == attempts])
            self._jobs.keep(some, reason=str(error), delay=delay, attempts=attempts + 1)
        logger.warning("project %s: predictions are kept for later: %s", ready[0].key.id, error)

    def _note_delivered(self, by_task: dict[int, Job], deliveries: Sequence[Delivery]) -> None:
        done = [by_task[each.task] for each in deliveries if each.error is None]
        failed = [(by_task[each.task], each.error) for each in deliveries if each.error is not None]
        if done:
            self._jobs.finish(done)
            new = [(each.task, each.prediction) for each in deliveries if each.new]
            new = [pair for pair in new if by_task[pair[0]] in done]
            record_quietly(self._record, done[0].key, new)
        if failed:
            self._jobs.fail([(job, str(error)) for job, error in failed])


def _pairs(jobs: Sequence[Job]) -> list[tuple[Job, Prediction]]:
    return [(job, job.prediction) for job in jobs if job.prediction is not None]
