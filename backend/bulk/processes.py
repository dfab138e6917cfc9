"""A bulk run in several processes of this machine: one Python thread of work at a time is too few.

A GPU that decodes and grounds thousands of frames a second waits for Python otherwise, and of
several GPUs each needs a process anyway. Each worker is `ground_here` on units that it is given a
few at a time. One that dies costs nobody else: what it had in hand is asked again at the end, one
unit at a time, and what then kills its worker is given up with that reason.
"""

import logging
import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from backend.bulk.models import ModelChoice
from backend.bulk.rows import Row
from backend.bulk.units import Failure, Unit, failure
from videogem.backbones.numerics import has_driver
from videogem.errors import InputError

logger = logging.getLogger(__name__)

UNITS = 64  # given to a worker at once
IN_HAND = 16  # times so many: enough for the batches that a GPU has under way
LEAVING = 30.0  # seconds that a process may take to end
DEATHS = 3  # of workers with a single unit, after which the rest is given up
DIED = "The process that had it died; is the file damaged, or too large for the memory?"
GIVEN_UP = "Processes died with what came before; start again with a smaller --workers."
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Place:
    """Where a worker computes: a GPU by its number, or so many cores."""

    gpu: int | None = None
    cores: int | None = None


def places(device: str, num_devices: int, num_workers: int) -> list[Place]:
    """Of each worker; on GPUs there are ``num_workers`` for each of ``num_devices``.

    Raises:
        InputError: several devices were asked for where it is no GPU.
    """
    if device != "cpu" and has_driver():
        import torch

        first, there = int(device.partition(":")[2] or 0), torch.cuda.device_count()
        if there and first + num_devices > there:
            raise InputError(
                f"--device {device} --devices {num_devices}: there are {there} GPUs here."
            )
        if there:
            gpus = range(first, first + num_devices)
            return [Place(gpu=gpu) for gpu in gpus for _ in range(num_workers)]
    if num_devices > 1:
        raise InputError("--devices counts GPUs, and none is used here; give --workers.")
    cores = max(1, (os.cpu_count() or 1) // num_workers)
    return [Place(cores=cores) for _ in range(num_workers)]


def ground_in_processes(
    units: Iterable[Unit], choice: ModelChoice, where: Sequence[Place]
) -> Generator[Row | Failure]:
    """A row or a failure for every moment that is asked, as they get ready.

    Raises:
        InputError: the model cannot be loaded.
    """
    crew = _Crew(choice)
    try:
        lost = list[Unit]()
        upcoming = iter(units)
        yield from crew.work(upcoming, where, lost)
        lost.extend(upcoming)  # where all of them died
        yield from _one_by_one(crew, lost, where[0])
    finally:
        crew.close()


def _one_by_one(crew: "_Crew", lost: Sequence[Unit], where: Place) -> Iterator[Row | Failure]:
    """Units that were lost with their workers, each alone, so that only the culprits are told."""
    parts = deque(replace(unit, asks=(ask,)) for unit in lost for ask in unit.asks)
    if parts:
        logger.warning("%d moments were lost with their process; asked again", len(parts))
    deaths = 0
    while parts and deaths < DEATHS:
        culprit: list[Unit] = []
        yield from crew.work(_taken(parts), [where], culprit, in_hand=1)
        deaths += len(culprit)
        for unit in culprit:
            yield from _failures(unit, DIED)
    for unit in parts:
        yield from _failures(unit, GIVEN_UP)


def _taken(parts: deque[Unit]) -> Iterator[Unit]:
    while parts:
        yield parts.popleft()


def _failures(unit: Unit, reason: str) -> Iterator[Failure]:
    return (failure(unit.source, ask, reason) for ask in unit.asks)


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    given: dict[int, Unit] = field(default_factory=dict)  # and not answered yet
    ended: bool = False  # it was told that nothing more comes


class _Crew:
    """Workers and what they have in hand."""

    def __init__(self, choice: ModelChoice) -> None:
        self._choice = choice
        self._workers: list[_Worker] = []
        self._leaving: list[BaseProcess] = []
        self._numbers = 0

    def work(
        self,
        units: Iterator[Unit],
        where: Sequence[Place],
        lost: list[Unit],
        *,
        in_hand: int = UNITS * IN_HAND,
    ) -> Iterator[Row | Failure]:
        """Results of units by new workers; what died with one is ``lost``."""
        self._workers = [self._start(place) for place in where]
        for worker in self._workers:
            self._give(worker, units, in_hand)
        while self._workers:
            pipes = {worker.pipe: worker for worker in self._workers}
            for pipe in wait(list(pipes)):
                worker = pipes[pipe]  # type: ignore[index]  # it waits for pipes alone
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    self._bury(worker, lost)
                    continue
                if isinstance(message, InputError):
                    raise message
                done, results = message
                for number in done:
                    del worker.given[number]
                self._give(worker, units, in_hand)
                yield from results

    def close(self) -> None:
        """End what still works."""
        for worker in self._workers:
            worker.process.terminate()
            worker.pipe.close()
            self._leaving.append(worker.process)
        for process in self._leaving:
            process.join(LEAVING)
            process.kill()
        self._workers, self._leaving = [], []

    def _start(self, where: Place) -> _Worker:
        # A fork would copy threads' locks and a GPU's state.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._choice, where), name="ground", daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _give(self, worker: _Worker, units: Iterator[Unit], in_hand: int) -> None:
        """Fill a worker's hands."""
        while not worker.ended and len(worker.given) <= in_hand - min(UNITS, in_hand):
            some: dict[int, Unit] = {}
            for unit in units:
                some[self._numbers] = unit
                self._numbers += 1
                if len(some) == min(UNITS, in_hand):
                    break
            worker.given |= some
            worker.ended = not some
            try:
                worker.pipe.send(some or None)
            except OSError:  # it died: what it has in hand is seen when its pipe is read
                return

    def _bury(self, worker: _Worker, lost: list[Unit]) -> None:
        """A worker whose pipe is closed: it is done, or it died."""
        worker.pipe.close()
        self._workers.remove(worker)
        # Leaving a GPU takes a second or two, in which the others want to be listened to.
        self._leaving.append(worker.process)
        if worker.given:
            worker.process.join()
            logger.warning("a process died (exit code %s)", worker.process.exitcode)
            lost.extend(worker.given.values())


def _serve(pipe: Connection, choice: ModelChoice, where: Place) -> None:
    """A worker's life: until nothing more comes."""
    if where.gpu is not None:
        visible = os.environ.get(_VISIBLE)
        names = visible.split(",") if visible else None
        os.environ[_VISIBLE] = names[where.gpu] if names else str(where.gpu)
        choice = replace(choice, device="cuda")
    if where.cores is not None:
        os.environ["OMP_NUM_THREADS"] = str(where.cores)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    # Only now may torch be imported, which reads both.
    from backend.bulk.local import ground_here

    try:
        batcher = choice.load()
    except Exception as error:  # for the process that tells it
        known = isinstance(error, InputError)
        reason = str(error) if known else f"The model: {type(error).__name__}: {error}"
        pipe.send(InputError(reason))
        return
    given = _Given(pipe)
    with suppress(OSError):  # nobody is left to take the results
        for result in ground_here(given, batcher):
            given.answer(result)
        given.flush()
    pipe.close()


class _Given:
    """Units as they come from the pipe; tells which are answered, with their results."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._came: queue.SimpleQueue[dict[int, Unit] | None] = queue.SimpleQueue()
        self._left: dict[int, int] = {}  # moments still to be answered, by number of their unit
        self._numbers: dict[str | None, int] = {}  # of the unit, by id of the moment
        self._done: list[int] = []
        self._results: list[Row | Failure] = []
        # What is sent is taken at once: a sender that waited could take no results.
        threading.Thread(target=self._receive, name="receive", daemon=True).start()

    def __iter__(self) -> Iterator[Unit]:
        while some := self._came.get():
            for number, unit in some.items():
                self._left[number] = len(unit.asks)
                self._numbers |= {ask.id: number for ask in unit.asks}
                yield unit

    def answer(self, result: Row | Failure) -> None:
        """Note a result; they are sent some at a time."""
        self._results.append(result)
        number = self._numbers.pop(result.id if isinstance(result, Failure) else result["id"])
        self._left[number] -= 1
        if not self._left[number]:
            del self._left[number]
            self._done.append(number)
        if len(self._done) >= UNITS or not self._left:
            self.flush()

    def flush(self) -> None:
        """Send what was answered."""
        if self._results:
            self._pipe.send((self._done, self._results))
        self._done, self._results = [], []

    def _receive(self) -> None:
        with suppress(EOFError, OSError):
            while some := self._pipe.recv():
                self._came.put(some)
        self._came.put(None)
