"""A bulk run on this machine: threads read, the batcher grounds, the caller takes the rows."""

import logging
import queue
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from backend.bulk.reading import read_unit
from backend.bulk.rows import Read, Row, row_of
from backend.bulk.units import Failure, Unit, failure
from backend.prediction.batcher import Batcher
from backend.prediction.questions import Answer, Priority, Question
from videogem.errors import InputError

logger = logging.getLogger(__name__)

READERS = 4  # threads that read and decode


@dataclass(frozen=True, eq=False)
class _Answered:
    read: Read
    question: Question
    future: "Future[Answer]"


@dataclass(frozen=True)
class _Stopped:
    error: Exception | None = None


def ground_here(
    units: Iterable[Unit], batcher: Batcher, *, readers: int = READERS
) -> Generator[Row | Failure]:
    """A row or a failure for every moment that is asked, as they get ready.

    No more is read ahead than the batcher has room for. What is under way when the caller stops is
    given up.
    """
    flight = _Flight(units, batcher, readers)
    try:
        yield from flight.results()
    finally:
        flight.close()


class _Flight:
    """What is on its way from the files to the rows."""

    def __init__(self, units: Iterable[Unit], batcher: Batcher, readers: int) -> None:
        self._units = iter(units)
        self._units_lock = threading.Lock()
        self._batcher = batcher
        self._events: queue.SimpleQueue[_Answered | Failure | _Stopped] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of what follows
        self._closed = False
        self._num_asked = 0
        self._num_readers = readers
        for _ in range(readers):
            threading.Thread(target=self._read_units, name="read", daemon=True).start()

    def results(self) -> Generator[Row | Failure]:
        num_answered = 0
        while self._num_readers or num_answered < self._num_asked:
            event = self._events.get()
            if isinstance(event, _Stopped):
                self._num_readers -= 1
                if event.error is not None:
                    raise event.error
            elif isinstance(event, Failure):
                yield event
            else:
                num_answered += 1
                yield self._result(event)

    def close(self) -> None:
        """Give back the room of what nobody takes any more."""
        with self._lock:
            self._closed = True
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, _Answered):
                self._give(event.question)

    def _read_units(self) -> None:
        error = None
        try:
            while not self._closed:
                with self._units_lock:
                    unit = next(self._units, None)
                if unit is None:
                    break
                batcher = self._batcher
                reading = read_unit(unit, batcher.num_frames, encoded=batcher.takes_encoded)
                for found in reading:
                    if self._closed:
                        break
                    if isinstance(found, Failure):
                        self._events.put(found)
                    else:
                        self._ask(found)
        except Exception as problem:  # of whoever gives the units: the caller's to handle
            error = problem
        self._events.put(_Stopped(error))

    def _ask(self, read: Read) -> None:
        question = Question(read.clip, [read.ask.narration])
        self._batcher.room.take(question.num_bytes, Priority.JOBS)
        with self._lock:
            self._num_asked += 1

        def answered(future: "Future[Answer]") -> None:
            with self._lock:
                if not self._closed:
                    self._events.put(_Answered(read, question, future))
                    return
            self._give(question)

        self._batcher.ask(question, Priority.JOBS).add_done_callback(answered)

    def _result(self, answered: _Answered) -> Row | Failure:
        try:
            return result_of(answered.read, answered.future)
        finally:
            self._give(answered.question)

    def _give(self, question: Question) -> None:
        self._batcher.room.give(question.num_bytes, Priority.JOBS)


def result_of(read: Read, future: "Future[Answer]") -> Row | Failure:
    """What became of one moment; a defect of ours is logged and becomes its reason."""
    try:
        [grounding] = future.result().groundings
        return row_of(read, grounding)
    except InputError as error:
        return failure(read.source, read.ask, str(error))
    except Exception as error:
        logger.error("%s: a defect of the backend", read.source, exc_info=error)
        reason = f"Defect in the backend ({type(error).__name__}), see its log."
        return failure(read.source, read.ask, reason)
