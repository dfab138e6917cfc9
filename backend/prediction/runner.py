"""Works through the job list in the background: one thread predicts, another one delivers.

Jobs flow: while some are read others are grounded, written and delivered, and the next are taken as
there are hands for them. Several processes may run at one job list; each takes jobs of its own.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing

from sqlalchemy.exc import SQLAlchemyError

from backend.database.engine import short
from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.labeling.targets import Labeling
from backend.labeling.validation import warm_up
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.delivery import Record
from backend.prediction.job_rows import Job
from backend.prediction.jobs import Jobs
from backend.prediction.model import ModelLoadingError, ModelNotReadyError, Models
from backend.prediction.outbox import Backlog, Outbox
from backend.prediction.predict import Outcome, predict_each
from backend.prediction.questions import Priority
from backend.prediction.task_fields import Project, Task
from videogem.errors import InputError

logger = logging.getLogger(__name__)

CLAIM = 64  # tasks taken at once
NOTE_EVERY = 0.5  # seconds after which finished predictions are noted, and so can be delivered
NOTE_AGAIN = 1.0  # seconds until the database is tried again
STUMBLED = 5.0  # seconds until a defect is tried again
MODEL_WAIT = 10.0
IDLE_WAIT = 1.0  # seconds until the list is looked at again, as other processes fill it too
RATE_SECONDS = 60.0


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
        self._score_threshold = score_threshold
        self._finished: deque[tuple[float, int]] = deque()
        self._put_off: list[Job] = []  # taken, but no part of the stream that took them
        self._outbox = Outbox(
            jobs,
            connections=connections,
            record=record,
            wanted_version=self.wanted_version,
            backlog=Backlog(jobs, self.per_second),
        )
        self._stop = False
        self._threads = [
            threading.Thread(target=self._run, args=(step,), name=name, daemon=True)
            for name, step in (
                ("predict-jobs", self._predict_some),
                ("deliver", self._outbox.deliver_some),
            )
        ]
        self._prepared = False

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End with what is under way."""
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

    def wanted_version(self, config: str) -> str:
        """The version a project with this config asks for; empty where it can ask for none."""
        labeling = parse_labeling(config)
        try:
            labeling.require()
            return self._models.version_of(labeling)
        except InputError:
            return ""

    def _count(self, number: int) -> None:
        now = time.monotonic()
        self._finished.append((now, number))
        while self._finished[0][0] < now - RATE_SECONDS:
            self._finished.popleft()

    def _run(self, step: Callable[[], bool]) -> None:
        while not self._stop:
            try:
                worked = step()
            except Exception as error:
                # The top of a thread: a defect must not end the queue for good.
                if isinstance(error, SQLAlchemyError):
                    logger.error("the job list cannot be used just now: %s", short(error))
                else:
                    logger.exception("the job list stumbled; it goes on in %s s", STUMBLED)
                with self._jobs.changed:
                    self._jobs.changed.wait_for(lambda: self._stop, STUMBLED)
                continue
            if not worked and not self._stop:
                with self._jobs.changed:
                    self._jobs.changed.wait(IDLE_WAIT)

    def _predict_some(self) -> bool:
        """Predict jobs of one project as long as there are any; False where there are none."""
        if not self._is_prepared():
            return False
        claimed = self._put_off or self._jobs.claim(CLAIM)
        self._put_off = []
        self._outbox.predicting(busy=bool(claimed))
        if not claimed:
            self._jobs.notify()  # what is ready need not wait for more
            return False
        stream = _Stream(self._jobs, claimed, stopped=lambda: self._stop)
        try:
            self._predict(stream)
        finally:
            left = stream.close()  # stopped, the model is loading, or a defect
            self._put_off = stream.others
            if self._stop:
                left += self._put_off
            if left:
                self._jobs.requeue(left)
        return True

    def _is_prepared(self) -> bool:
        """Whether all is loaded that every job needs; before, none is taken.

        A job that is taken counts as tried once more when its process ends, and that shall not be
        for what went wrong before its turn, such as a model that the memory has no room for. A
        model that could not be loaded is told to every job that asks for it, unless another backend
        on this job list has it.
        """
        if not self._prepared:
            self._models.default.start()
            if self._models.default.status.state == "loading":
                return False
            warm_up()
            self._prepared = True
        status = self._models.default.status
        if status.state == "failed" and self._models.ready_elsewhere(status.version):
            return False
        return self._prepared

    def _predict(self, stream: "_Stream") -> None:
        first = stream.first
        labeling = parse_labeling(first.config)
        try:
            batcher = self._batcher_for(labeling, first, stream)
        except ModelLoadingError:
            return
        except (ModelNotReadyError, InputError) as error:
            reason = str(error)
            self._jobs.fail([(job, reason) for job in stream.close()])
            return
        if batcher is None:
            return
        project = Project(
            first.key.id, first.config, labeling, first.version, self._score_threshold, first.key
        )
        found = predict_each(
            stream, project, batcher=batcher, media=self._media, priority=Priority.JOBS
        )
        with _Notes(lambda outcomes: self._note(outcomes, stream)) as notes, closing(found):
            for place, outcome in found:
                notes.add(stream.given.pop(place), outcome)
                self._count(1)
                if self._stop:
                    break

    def _batcher_for(self, labeling: Labeling, first: Job, stream: "_Stream") -> Batcher | None:
        """What predicts these jobs; None if nothing of this backend does any more."""
        labeling.require()
        version = self._models.version_of(labeling)
        if version != first.version:
            self._jobs.drop(stream.close(), f"this backend predicts {version} now")
            return None
        return self._models.for_labeling(labeling).batcher(timeout=MODEL_WAIT)

    def _note(self, outcomes: "_Outcomes", stream: "_Stream") -> None:
        """Write down what became of jobs; the predictions wait for the thread that delivers.

        While the database is locked or gone they wait here: predicting them was the dear part.
        """
        while True:
            try:
                self._write_down(outcomes)
                break
            except SQLAlchemyError as error:
                if self._stop:
                    raise
                logger.warning("%d finished predictions wait for the database: %s",
                               len(outcomes), short(error))  # fmt: skip
                with self._jobs.changed:
                    self._jobs.changed.wait_for(lambda: self._stop, NOTE_AGAIN)
        for job, _ in outcomes:
            stream.settle(job)

    def _write_down(self, outcomes: "_Outcomes") -> None:
        found = [(job, each.prediction) for job, each in outcomes if each.prediction is not None]
        failed = [
            (job, each.error or "unknown") for job, each in outcomes if each.prediction is None
        ]
        if found:
            self._jobs.keep(found)
        if failed:
            self._jobs.fail(failed)


_Outcomes = list[tuple[Job, Outcome]]


class _Notes:
    """What became of jobs, written down many at a time while more is predicted.

    What could not be written is raised to whoever adds more, or at the end.
    """

    def __init__(self, write: Callable[[_Outcomes], None]) -> None:
        self._write = write
        self._outcomes: _Outcomes = []
        self._changed = threading.Condition()
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="note-jobs", daemon=True)
        self._thread.start()

    def __enter__(self) -> "_Notes":
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._raise()

    def add(self, job: Job, outcome: Outcome) -> None:
        with self._changed:
            self._outcomes.append((job, outcome))
            self._changed.notify()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while outcomes := self._take():
                self._write(outcomes)
        except Exception as error:
            self._error = error  # for the thread that predicts

    def _take(self) -> _Outcomes:
        """What came within some time; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._outcomes or self._closed)
            self._changed.wait_for(lambda: self._closed, NOTE_EVERY)
            outcomes, self._outcomes = self._outcomes, []
        return outcomes


class _Stream:
    """Tasks of jobs of one project, config and version; more jobs are taken when these run out.

    It ends with the first jobs that are others', or that must be tried alone; those are ``others``
    then. ``given`` are jobs under way, by the place of their task.
    """

    def __init__(self, jobs: Jobs, claimed: list[Job], *, stopped: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._claimed = claimed
        self._stopped = stopped
        self._lock = threading.Lock()
        self._held = {job.id: job for job in claimed}
        self._closed = False
        self.first = claimed[0]
        self.given: dict[int, Job] = {}
        self.others: list[Job] = []

    def __iter__(self) -> Iterator[Task]:
        place = 0
        while self._claimed and not self._stopped():
            for job in self._claimed:
                self.given[place] = job
                place += 1
                yield job.task
            if Jobs.is_alone(self.first):
                return
            self._take_more()

    def _take_more(self) -> None:
        with self._lock:
            self._claimed = [] if self._closed else self._jobs.claim(CLAIM)
            if not self._claimed:
                return
            job = self._claimed[0]
            if self._scope(job) != self._scope(self.first) or Jobs.is_alone(job):
                self.others, self._claimed = self._claimed, []
                return
            self._held |= {job.id: job for job in self._claimed}

    def settle(self, job: Job) -> None:
        """Something became of it."""
        with self._lock:
            self._held.pop(job.id, None)

    def close(self) -> list[Job]:
        """Take no more; the jobs of which nothing became."""
        with self._lock:
            self._closed = True
            left, self._held = list(self._held.values()), {}
        return left

    @staticmethod
    def _scope(job: Job) -> tuple[object, ...]:
        return job.key, job.version, job.config
