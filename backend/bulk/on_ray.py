"""A bulk run on Ray Data: some workers read, others hold a model each; both may die.

Ray retries what a dead worker had in hand, without end if it is let, and waits for ever for
machines that do not come back. Here both are bounded. A run goes in rounds: what a round loses is
asked again by the next one, in its smallest parts and one at a time, and what still kills its
worker then is given up with that reason. A round in which nothing arrives for a while ends, and
the next one asks for no more than the machines that are left.
"""

import logging
import os
import pickle
import queue
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backend.bulk.jobs import BulkJob
from videogem.errors import InputError

logger = logging.getLogger(__name__)

ROUNDS = 3  # the first as it comes, the others in the smallest parts
RETRIES = 0  # of what a dead worker had in hand, within a round: the next round asks again
CLIPS_TOGETHER = 64  # results that one call of a model is asked for, about
EXTRA = "--engine ray needs Ray: pip install 'videogem-label-studio[ray]'."


START = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",
    # A busy machine takes longer than Ray gives it to start, and Ray would end.
    "RAY_agent_register_timeout_ms": "180000",
    "RAY_raylet_start_wait_time_s": "180",
    "RAY_gcs_server_port_wait_time_s": "180",
    # Fewer processes that have nothing to do take the time of those that must come up.
    "RAY_enable_metrics_collection": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
"""Ray's own settings: quiet, and a start that may take a while; what is set already stays."""
STARTS = 3  # tries to start Ray on this machine


@dataclass(frozen=True)
class Cluster:
    """Where a run goes, and what of it one model gets."""

    address: str | None = None  # of a cluster that runs; None: one of this machine's own
    cores: int = 1  # of one model; where there are GPUs, each model has one
    patience: float = 600.0  # seconds without any result until machines count as lost


def spread(
    items: Sequence[Any], job: BulkJob, cluster: Cluster, *, num_results: int | None = None
) -> Generator[Any]:
    """The results of all items, in any order; of one that its worker did not survive, what
    ``job.lost`` gives. ``num_results`` is how many there will be.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, or it does nothing any
            more; what came before counts.
    """
    with _connected(cluster):
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


def require_ray() -> None:
    """Raise InputError where the extra is not installed."""
    try:
        import ray.data  # noqa: F401  # whether it is there
    except ImportError as error:
        raise InputError(EXTRA) from error


@contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    """Ray, until the end of the block; quiet, and without telling anybody of its use."""
    os.environ.update(START | os.environ)
    require_ray()
    import ray

    _quieten()
    if cluster.address is None:
        _start_here()
    else:
        try:
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise InputError(
                f"The Ray cluster at '{cluster.address}' cannot be used ({_first_line(error)}); is "
                "it running, and are RAY_AUTH_MODE and RAY_AUTH_TOKEN those of the cluster?"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _start_here() -> None:
    """Ray on this machine; what a start leaves behind that came too late ends before the next."""
    import ray

    for number in range(1, STARTS + 1):
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # a process that is late is no more than an Exception to Ray
            ray.shutdown()
            if number == STARTS:
                raise InputError(
                    f"Ray does not start on this machine ({_first_line(error)}); it was tried "
                    f"{STARTS} times. Is the machine busy, or its memory or /dev/shm full?"
                ) from error
            logger.warning("Ray did not start (%s); tried again", _first_line(error))
        else:
            return


def _quieten() -> None:
    """What workers lose is told as failures; Ray would print a traceback for each attempt."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Of a round in which everything was lost before it came to a model; and of the names of
    # options, which 2.60 has no others for.
    warnings.filterwarnings("ignore", "The minimum number of concurrent actors", UserWarning)
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")


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
        raise InputError(f"The Ray cluster's worker died at once ({_first_line(error)}).") from None
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

    threading.Thread(target=run, name="ray", daemon=True).start()
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


def _tell(error: BaseException) -> None:
    """A round that broke off loses what it had in hand; defects are for whoever reads the log."""
    import ray

    if not isinstance(error, ray.exceptions.RayError):
        raise error
    logger.warning("Ray broke a round off: %s", _first_line(error))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


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
    rows = [{"key": key, "data": pickle.dumps(item)} for key, item in enumerate(items)]
    blocks = max(1, min(len(rows), len(rows) // per_call))
    needs: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": cluster.cores}
    data: Any = ray.data.from_items(rows, override_num_blocks=blocks)
    data = data.map_batches(
        _read,
        fn_args=(job,),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=0.5,
        max_retries=RETRIES,
    )
    data = data.map_batches(
        _Model,
        fn_constructor_args=(job,),
        batch_size=per_call,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=models, max_tasks_in_flight_per_actor=1 if alone else 2
        ),
        max_restarts=-1,
        max_task_retries=RETRIES,
        **needs,
    )
    return iter(data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))


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
        return _Defect(f"Defect in the backend ({type(error).__name__}: {_first_line(error)}).")


def _data(table: Any) -> list[bytes]:
    found: list[bytes] = table["data"].to_pylist()
    return found


def _table(table: Any, values: Sequence[Any]) -> Any:
    import pyarrow as pa

    data = pa.array([pickle.dumps(value) for value in values], pa.large_binary())
    return pa.table({"key": table["key"], "data": data})
