"""A bulk run on Ray Data: some workers read, others hold a model each; both may die.

Ray retries what a dead worker had in hand, without end if it is let, and waits for ever for
machines that do not come back. Here both are bounded. A run goes in rounds: what a round loses is
asked again by the next one, in its smallest parts and one at a time, and what still kills its
worker then is given up with that reason. A round in which nothing arrives for a while ends, and
the next one asks for no more than the machines that are left.
"""

import logging
import pickle
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from backend.bulk.jobs import BulkJob
from backend.bulk.ray_start import Cluster, connected, first_line
from videogem.errors import InputError

logger = logging.getLogger(__name__)

ROUNDS = 3  # the first as it comes, the others in the smallest parts
RETRIES = 0  # of what a dead worker had in hand, within a round: the next round asks again
CLIPS_TOGETHER = 64  # results that one call of a model is asked for, about


ENDED_WITHIN = 10.0  # seconds for a round that is given up to let go


def spread(
    items: Sequence[Any], job: BulkJob, cluster: Cluster, *, num_results: int | None = None
) -> Generator[Any]:
    """The results of all items, in any order; of one that its worker did not survive, what
    ``job.lost`` gives. ``num_results`` is how many there will be.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, or it does nothing any
            more; what came before counts.
    """
    with connected(cluster):
        job = _prepared(job, cluster)
        left = list(items)
        per_call = max(1, CLIPS_TOGETHER * len(left) // max(1, num_results or len(left)))
        for number in range(ROUNDS):
            if number:
                left = [part for item in left for part in job.split(item)]
                logger.warning("%d items were lost with their workers; asked again", len(left))
            arrived: set[int] = set()
            alone = number > 0  # nothing else goes down with what kills its worker
            calls = 1 if alone else per_call
            for key, results in _round(left, job, cluster, arrived, per_call=calls, alone=alone):
                if key in arrived:
                    continue
                arrived.add(key)
                if isinstance(results, _Defect):
                    results = job.lost(left[key], results.reason)
                yield from results
            left = [item for key, item in enumerate(left) if key not in arrived]
            if not left:
                return
        reason = f"The worker that had it died, {ROUNDS} times; is the file damaged, or too large?"
        for item in left:
            yield from job.lost(item, reason)


def _prepared(job: BulkJob, cluster: Cluster) -> BulkJob:
    """The job as a worker makes it ready.

    Raises:
        InputError: what the worker said, or no worker came.
    """
    import ray

    task = ray.remote(num_cpus=0.5, max_retries=RETRIES)(_prepare).remote(job)
    try:
        found = ray.get(task, timeout=cluster.patience)
    except ray.exceptions.GetTimeoutError:
        raise InputError(_no_result(cluster)) from None
    except ray.exceptions.RayError as error:
        raise InputError(f"The Ray cluster's worker died at once ({first_line(error)}).") from None
    if isinstance(found, str):
        raise InputError(found)
    return found


def _prepare(job: BulkJob) -> BulkJob | str:
    try:
        return job.prepared()
    except (InputError, OSError) as error:
        return str(error)


def _no_result(cluster: Cluster) -> str:
    return (
        f"The Ray cluster gave no result for {cluster.patience:g} s: are its machines there, with "
        "the cores or GPUs that a model needs? What is written counts; start again to go on, or "
        "wait longer with --patience."
    )


def _round(
    items: Sequence[Any],
    job: BulkJob,
    cluster: Cluster,
    arrived: set[int],
    *,
    per_call: int,
    alone: bool,
) -> Iterator[tuple[int, Any]]:
    """Places of items and their results as they arrive; it ends early where nothing arrives."""
    came: queue.Queue[tuple[int, Any] | BaseException | None] = queue.Queue(maxsize=1000)
    stopped = threading.Event()

    def put(one: tuple[int, Any] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                came.put(one, timeout=1.0)
            except queue.Full:
                continue
            return

    def run() -> None:
        try:
            for batch in _dataset(items, job, cluster, per_call, alone=alone):
                for key, data in zip(*batch.to_pydict().values(), strict=True):
                    put((key, pickle.loads(data)))
                if stopped.is_set():
                    return
        except BaseException as error:  # a thread: whoever waits for its results raises it
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=run, name="ray", daemon=True)
    thread.start()
    try:
        while True:
            try:
                one = came.get(timeout=cluster.patience)
            except queue.Empty:
                if not arrived:
                    raise InputError(_no_result(cluster)) from None
                logger.warning("no result for %g s: what is under way is asked again",
                               cluster.patience)  # fmt: skip
                return
            if one is None:
                return
            if isinstance(one, BaseException):
                _tell(one)
                return
            yield one
    finally:
        stopped.set()
        _let_go()
        thread.join(ENDED_WITHIN)


def _let_go() -> None:
    """End what a round still has on the cluster: workers that hang would keep their place.

    An iterator cannot be closed while a thread waits for its next batch, and Ray (2.60) offers no
    other way than its executor, which is a thread of this process; one that is through stays so.
    """
    from ray.data._internal.execution.streaming_executor import StreamingExecutor

    for thread in threading.enumerate():
        if isinstance(thread, StreamingExecutor):
            thread.shutdown(force=True)


def _tell(error: BaseException) -> None:
    """A round that broke off loses what it had in hand; defects are for whoever reads the log."""
    import ray

    if not isinstance(error, ray.exceptions.RayError):
        raise error
    logger.warning("Ray broke a round off: %s", first_line(error))


def _dataset(
    items: Sequence[Any], job: BulkJob, cluster: Cluster, per_call: int, *, alone: bool
) -> Iterator[Any]:
    """Tables of places and pickled results."""
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # the next round asks again
    there: dict[str, float] = ray.cluster_resources()
    gpus, cores = int(there.get("GPU", 0)), int(there.get("CPU", 1))
    models = gpus or max(1, (cores - 1) // cluster.cores)
    # Ray adds models where several batches wait for each: never, where there is one at a time.
    at_once = min(models, len(items)) if alone else 1
    rows = [{"key": key, "data": pickle.dumps(item)} for key, item in enumerate(items)]
    blocks = max(1, min(len(rows), len(rows) // per_call))
    needs: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": cluster.cores}
    data: Any = ray.data.from_items(rows, override_num_blocks=blocks)
    data = data.map_batches(
        _read,
        fn_args=(job,),
        batch_size=None,
        batch_format="pyarrow",
        # A machine that died is counted for a while, and models then take all cores that are left.
        num_cpus=0 if alone else 0.5,
        concurrency=at_once if alone else None,
        max_retries=RETRIES,
    )
    data = data.map_batches(
        _Model,
        fn_constructor_args=(job,),
        batch_size=per_call,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            min_size=at_once, max_size=models, max_tasks_in_flight_per_actor=1 if alone else 2
        ),
        max_restarts=-1,
        max_task_retries=RETRIES,
        **needs,
    )
    # Ray would hold what came last until something follows it: for ever, where that hangs.
    return iter(data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))


@dataclass(frozen=True)
class _Defect:
    """An item whose work raised: told at once, as it would again."""

    reason: str


def _read(table: Any, job: BulkJob) -> Any:
    return _table(table, [_try(job.read, pickle.loads(data)) for data in _data(table)])


class _Model:
    """Holds a model, in a process of its own; Ray lets it have the cores it asked for."""

    def __init__(self, job: BulkJob) -> None:
        self._work = job.load()

    def __call__(self, table: Any) -> Any:
        items = [pickle.loads(data) for data in _data(table)]
        good = [item for item in items if not isinstance(item, _Defect)]
        found = _try(self._work, good)
        if isinstance(found, _Defect):  # one of them is at fault
            found = [_try(self._alone, item) for item in good]
        done = iter(found)
        return _table(table, [item if isinstance(item, _Defect) else next(done) for item in items])

    def _alone(self, item: Any) -> list[Any]:
        [results] = self._work([item])
        return results


def _try(work: Callable[[Any], Any], what: Any) -> Any:
    try:
        return work(what)
    except Exception as error:
        logger.exception("a defect of the backend")
        return _Defect(f"Defect in the backend ({type(error).__name__}: {first_line(error)}).")


def _data(table: Any) -> list[bytes]:
    found: list[bytes] = table["data"].to_pylist()
    return found


def _table(table: Any, values: Sequence[Any]) -> Any:
    import pyarrow as pa

    data = pa.array([pickle.dumps(value) for value in values], pa.large_binary())
    return pa.table({"key": table["key"], "data": data})
