"""Finished jobs -> Label Studio, in few large requests.

After every request Label Studio counts anew for all tasks of the project (0.8 ms a task), so while
more is being predicted much is sent at a time, and what will soon be complete is waited for.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.connections import Connections
from backend.prediction.delivery import Delivery, Record, deliver, record_quietly
from backend.prediction.job_rows import Job
from backend.prediction.jobs import SENDING, Jobs
from backend.prediction.predict import Prediction

logger = logging.getLogger(__name__)

DELIVERY = 5000  # predictions in one request to Label Studio
SHORTEST_GAP = 5.0  # seconds from the first prediction to the first delivery, and to the next
GAP = 2.0  # times as long as the last delivery took, until the next one
LONGEST_GAP = 30.0  # seconds
SENDING_PER_TASK = 0.01  # seconds that each task of the project may add, on a busy machine
SLOWER = 3.0  # times as long as the last delivery, or as looking: a busier machine
RETRY_DELAYS = (5.0, 30.0, 120.0, 600.0)  # seconds until Label Studio is tried again
NO_TOKEN = (
    "Predicted; Label Studio gets it when it asks again, or when VIDEOGEM_LABEL_STUDIO_URL and "
    "VIDEOGEM_LABEL_STUDIO_API_KEY are set."
)


@dataclass(frozen=True)
class Backlog:
    """What is still to be predicted."""

    jobs: Jobs
    per_second: Callable[[], float | None]

    def seconds(self) -> float | None:
        """How long it will take; None while nothing can be said."""
        rate = self.per_second()
        return None if not rate else self.jobs.num_waiting() / rate


class Outbox:
    """Gives Label Studio what is ready; used by one thread, told of the other by ``predicting``."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        connections: Connections,
        record: Record,
        wanted_version: Callable[[str], str],
        backlog: Backlog,
    ) -> None:
        self._jobs = jobs
        self._connections = connections
        self._record = record
        self._wanted_version = wanted_version
        self._backlog = backlog
        self._predicting = False
        self._gap = SHORTEST_GAP
        self._took = 0.0  # seconds, of the last delivery
        self._gap_ends = 0.0  # both of time.monotonic
        self._wait_ends = 0.0

    def predicting(self, *, busy: bool) -> None:
        """Whether more is being predicted just now."""
        if busy and not self._predicting:
            self._begin_gap(SHORTEST_GAP)
        self._predicting = busy

    def _begin_gap(self, seconds: float) -> None:
        now = time.monotonic()
        self._gap = seconds
        self._gap_ends = max(self._gap_ends, now + seconds)
        self._wait_ends = self._gap_ends + seconds

    def _is_early(self) -> bool:
        """Whether it is better to wait for more; never for long."""
        now = time.monotonic()
        if not self._predicting or now >= self._wait_ends:
            return False
        if now < self._gap_ends:
            return True
        left = self._backlog.seconds()
        return left is not None and left < self._gap

    def deliver_some(self) -> bool:
        """Give Label Studio some predictions of one project; False where there are none."""
        if self._is_early() and self._jobs.num_ready() < DELIVERY:
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
        self._took = time.monotonic() - started
        self._begin_gap(min(max(GAP * self._took, SHORTEST_GAP), LONGEST_GAP))
        return True

    def _deliver(self, ready: Sequence[Job]) -> None:
        """Save predictions in Label Studio; what cannot be saved now is kept and tried again."""
        key = ready[0].key
        label_studio = self._connections.get(key)
        if label_studio is None or not label_studio.has_token:
            self._jobs.keep(_pairs(ready), reason=NO_TOKEN, delay=RETRY_DELAYS[-1])
            return
        by_task = {job.task_id: job for job in ready}

        started = time.monotonic()
        num_tasks = 0

        def sending(tasks: Sequence[int]) -> set[int]:
            slow = SLOWER * max(self._took, time.monotonic() - started)
            grace = SENDING + max(SENDING_PER_TASK * num_tasks, slow)
            mine = self._jobs.sending([by_task[task] for task in tasks], grace=grace)
            return {job.task_id for job in mine}

        try:
            num_tasks = self._ask_what_is_wanted(label_studio, ready)
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
        self._jobs.announce(key, config, self._wanted_version(config))
        return int(project.get("task_number") or 0)

    def _deliver_later(self, ready: Sequence[Job], error: LabelStudioError) -> None:
        for attempts in {job.attempts for job in ready}:
            delay = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS) - 1)]
            some = _pairs([job for job in ready if job.attempts == attempts])
            self._jobs.keep(
                some, reason=str(error), delay=delay, attempts=attempts + 1,
                answered=error.is_an_answer,
            )  # fmt: skip
        logger.warning("project %s: predictions are kept for later: %s", ready[0].key.id, error)

    def _note_delivered(self, by_task: dict[int, Job], deliveries: Sequence[Delivery]) -> None:
        done = [by_task[each.task] for each in deliveries if each.error is None]
        failed = [(by_task[each.task], each.error) for each in deliveries if each.error is not None]
        if done:
            self._jobs.finish(done)
            new = [
                (each.task, each.prediction) for each in deliveries if each.new and not each.error
            ]
            record_quietly(self._record, done[0].key, new)
        if failed:
            self._jobs.fail([(job, str(error)) for job, error in failed])


def _pairs(jobs: Sequence[Job]) -> list[tuple[Job, Prediction]]:
    return [(job, job.prediction) for job in jobs if job.prediction is not None]
