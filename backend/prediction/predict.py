"""Tasks -> predictions: moments are read, grounded and written at the same time.

Some threads read, the model's batcher grounds, and the caller's thread writes whatever is ready, so
that a task whose media are slow holds up no other.
"""

import logging
import math
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from backend.media.media import Media
from backend.media.turns import fetching_until
from backend.prediction.batcher import Batcher
from backend.prediction.moments import Moment
from backend.prediction.questions import Answer, Priority
from backend.prediction.reading import read
from backend.prediction.task_fields import Project, Task
from backend.prediction.writing import Prediction as Prediction
from backend.prediction.writing import Writer
from backend.threads import started
from videogem.errors import InputError

logger = logging.getLogger(__name__)

READERS = 4  # threads that fetch and decode for one caller
MAX_READERS = 12  # with those that stand in for others
HELD_SECONDS = 2.0  # without anything read: a slow host holds the reader
LATE = "The time was up before the task was predicted."


@dataclass(frozen=True)
class Outcome:
    """What became of one task: a prediction, or the reason why there is none.

    A prediction without regions means that nothing scored enough. What could not be done is never
    written as an empty prediction: Label Studio would take the task for done. A task that the time
    did not suffice for is ``late``.
    """

    task: Task
    prediction: Prediction | None = None
    error: str | None = None
    late: bool = False


def predict_many(
    tasks: Sequence[Task],
    project: Project,
    *,
    batcher: Batcher,
    media: Media,
    priority: Priority = Priority.REQUEST,
    deadline: float | None = None,
) -> list[Outcome]:
    """Predict tasks together; one outcome for each, in their order.

    One task's failure never takes the others with it; a defect of ours is logged with its traceback
    and becomes that task's reason. At the ``deadline`` (of ``time.monotonic``) what is not done is
    left, wherever it is.
    """
    outcomes = [Outcome(task, error=LATE, late=True) for task in tasks]
    found = predict_each(
        tasks, project, batcher=batcher, media=media, priority=priority, deadline=deadline
    )
    for place, outcome in found:
        outcomes[place] = outcome
    return outcomes


def predict_each(
    tasks: Iterable[Task],
    project: Project,
    *,
    batcher: Batcher,
    media: Media,
    priority: Priority = Priority.REQUEST,
    deadline: float | None = None,
) -> Generator[tuple[int, Outcome]]:
    """Places and outcomes of tasks as they get ready; tasks are taken as there are hands for them.

    What is under way when the caller stops, or at the deadline, is given up.
    """
    flight = _Flight(tasks, project, batcher, media, priority, deadline)
    try:
        yield from flight.outcomes()
    finally:
        flight.close()


@dataclass(frozen=True, eq=False)
class _Grounded:
    """A moment that the model answered, or failed at."""

    place: int
    task: Task
    moment: Moment
    future: "Future[Answer]"


@dataclass(frozen=True, eq=False)
class _Read:
    """A task that was read to its end, or as far as it could be."""

    place: int
    task: Task
    num_moments: int
    error: Exception | None


@dataclass(frozen=True, eq=False)
class _Stopped:
    """A reader that found no more tasks."""

    error: Exception | None = None


@dataclass
class _Writing:
    """A task of which something was answered."""

    writer: Writer | None = None
    num_written: int = 0
    read: _Read | None = None
    error: Exception | None = None


class _Flight:
    """The tasks of one caller, from the first that is read to the last that is written."""

    def __init__(
        self,
        tasks: Iterable[Task],
        project: Project,
        batcher: Batcher,
        media: Media,
        priority: Priority,
        deadline: float | None,
    ) -> None:
        self._deadline = deadline
        self._tasks = enumerate(tasks)
        self._tasks_lock = threading.Lock()
        self._project = project
        self._batcher = batcher
        self._media = media
        self._priority = priority
        self._events: queue.SimpleQueue[_Grounded | _Read | _Stopped] = queue.SimpleQueue()
        self._closed = False
        self._failed: set[int] = set()  # places of tasks that cannot be predicted any more
        self._closing = threading.Lock()
        self._waiting: set[Future[Answer]] = set()
        count = min(READERS, len(tasks)) if isinstance(tasks, Sequence) else READERS
        self._num_readers = 0
        self._since: dict[int, float] = {}  # since when each waits for its media, by thread
        for _ in range(count):
            self._start_reader()

    def _start_reader(self) -> None:
        """Start another; where the system gives no more threads just now, those there do it.

        Raises:
            RuntimeError: there is none.
        """
        self._num_readers += 1
        thread = threading.Thread(target=self._read_tasks, name="read", daemon=True)
        if not started(thread, "fewer threads read"):
            self._num_readers -= 1
            if not self._num_readers:
                raise RuntimeError("The system gives no more threads just now.")

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        writings: dict[int, _Writing] = {}
        while self._num_readers or writings:
            try:
                event = self._events.get(timeout=min(HELD_SECONDS, self._left()))
            except queue.Empty:
                if not self._left():
                    return
                self._replace_held_readers()
                continue
            if not self._left():
                self._drop(event)
                return
            if isinstance(event, _Stopped):
                self._num_readers -= 1
                if event.error is not None:
                    raise event.error
                continue
            writing = writings.setdefault(event.place, _Writing())
            if isinstance(event, _Read):
                writing.read = event
                writing.error = writing.error or event.error
            else:
                self._write(event, writing)
            read = writing.read
            del event  # an answered moment holds its frames
            if read is not None and writing.num_written == read.num_moments:
                del writings[read.place]
                yield read.place, self._outcome(read, writing)

    def _left(self) -> float:
        """Seconds until the deadline."""
        left = math.inf if self._deadline is None else self._deadline - time.monotonic()
        return max(0.0, left)

    def _replace_held_readers(self) -> None:
        """Go on reading where a slow host holds all readers."""
        now = time.monotonic()
        held = sum(now - since >= HELD_SECONDS for since in list(self._since.values()))
        if self._num_readers <= held < MAX_READERS:
            self._start_reader()

    def close(self) -> None:
        """Give up what is under way, and the room it takes."""
        with self._closing:
            self._closed = True
            waiting = list(self._waiting)
        for future in waiting:
            future.cancel()
        while not self._events.empty():
            self._drop(self._events.get())

    def _drop(self, event: "_Grounded | _Read | _Stopped") -> None:
        if isinstance(event, _Grounded):
            self._give(event.moment)

    def _read_tasks(self) -> None:
        error = None
        me = threading.get_ident()
        try:
            while not self._closed:
                with self._tasks_lock:
                    place, task = next(self._tasks, (-1, {}))
                if place < 0:
                    break
                self._since[me] = time.monotonic()
                with fetching_until(self._deadline):
                    self._read_task(place, task)
                self._since.pop(me, None)
        except Exception as problem:  # of whoever gives the tasks: theirs to handle
            error = problem
        finally:
            self._since.pop(me, None)
        self._events.put(_Stopped(error))

    def _read_task(self, place: int, task: Task) -> None:
        error = None
        count = 0
        me = threading.get_ident()
        room = self._batcher.room
        taken: int | None = None  # room for what is being decoded

        def make_room(num_bytes: int) -> None:
            nonlocal taken
            self._since.pop(me, None)  # waiting for room is not waiting for a host
            room.take(num_bytes, self._priority)
            taken = num_bytes
            self._since[me] = time.monotonic()

        moments = read(
            task,
            self._project,
            media=self._media,
            batcher=self._batcher,
            priority=self._priority,
            make_room=make_room,
        )
        try:
            for moment in moments:
                self._since.pop(me, None)
                if taken is None:
                    room.take(moment.question.num_bytes, self._priority)
                else:
                    room.change(taken, moment.question.num_bytes)
                    taken = None
                self._ask(place, task, moment)
                del moment  # its room may be given to the next
                self._since[me] = time.monotonic()
                count += 1
                if self._closed or place in self._failed:
                    break  # nobody wants the rest
        except Exception as problem:
            error = problem
        finally:
            moments.close()
            if taken is not None:
                room.give(taken, self._priority)
        self._events.put(_Read(place, task, count, error))

    def _ask(self, place: int, task: Task, moment: Moment) -> None:
        """Ask about a moment that has its room."""
        future = self._batcher.ask(moment.question, self._priority)
        with self._closing:
            self._waiting.add(future)
            closed = self._closed
        if closed:
            future.cancel()

        def answered(future: "Future[Answer]") -> None:
            with self._closing:
                self._waiting.discard(future)
                if not self._closed:
                    self._events.put(_Grounded(place, task, moment, future))
                    return
            self._give(moment)

        future.add_done_callback(answered)

    def _write(self, event: _Grounded, writing: _Writing) -> None:
        try:
            if writing.error is None:
                writing.writer = writing.writer or Writer(event.task, self._project)
                writing.writer.add(event.moment.slot, event.future.result())
        except Exception as error:
            writing.error = error
            self._failed.add(event.place)
        finally:
            writing.num_written += 1
            self._give(event.moment)

    def _outcome(self, read: _Read, writing: _Writing) -> Outcome:
        try:
            if writing.error is not None:
                raise writing.error
            writer = writing.writer or Writer(read.task, self._project)
            return Outcome(read.task, prediction=writer.prediction())
        except InputError as error:
            logger.warning("task %s: %s", read.task.get("id"), error)
            return Outcome(read.task, error=str(error))
        except Exception as error:
            logger.error("task %s: a defect of the backend", read.task.get("id"), exc_info=error)
            reason = f"Defect in the backend ({type(error).__name__}), see its log."
            return Outcome(read.task, error=reason)

    def _give(self, moment: Moment) -> None:
        self._batcher.room.give(moment.question.num_bytes, self._priority)
