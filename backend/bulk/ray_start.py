"""A connection to Ray: of this machine's own, or a cluster that runs; quiet, and for a while."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from videogem.errors import InputError

logger = logging.getLogger(__name__)

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
    # A thread that a round left behind must not connect anew to a cluster, or start one.
    "RAY_ENABLE_AUTO_CONNECT": "0",
}
"""Ray's own settings: quiet, and a start that may take a while; what is set already stays."""
STARTS = 3  # tries to start Ray on this machine
REACHED_WITHIN = 30.0  # seconds, until a cluster is not there; Ray itself tries for a quarter hour


@dataclass(frozen=True)
class Cluster:
    """Where a run goes, and what of it one model gets."""

    address: str | None = None  # of a cluster that runs; None: one of this machine's own
    cores: int = 1  # of one model; where there are GPUs, each model has one
    patience: float = 600.0  # seconds without any result until machines count as lost


def require_ray() -> None:
    """Raise InputError where the extra is not installed."""
    try:
        import ray.data  # noqa: F401  # whether it is there
    except ImportError as error:
        raise InputError(EXTRA) from error


@contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """Ray, until the end of the block; quiet, and without telling anybody of its use."""
    os.environ.update(START | os.environ)
    require_ray()
    import ray

    _quieten()
    if cluster.address is None:
        _start_here()
    else:
        try:
            _reach(cluster.address)
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            ray.shutdown()
            raise InputError(
                f"The Ray cluster at '{cluster.address}' cannot be used ({first_line(error)}); is "
                "it running, and are RAY_AUTH_MODE and RAY_AUTH_TOKEN those of the cluster?"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError where nothing answers at a cluster's address."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():  # any other, Ray finds on this machine, or says that it does not
        socket.create_connection((host.strip("[]"), int(port)), REACHED_WITHIN).close()


def _start_here() -> None:
    """Ray on this machine; what a start leaves behind that came too late ends before the next."""
    import ray

    for number in range(1, STARTS + 1):
        try:
            ray.init(
                "local",  # not the cluster that RAY_ADDRESS names
                include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
            )  # fmt: skip
        except Exception as error:  # a process that is late is no more than an Exception to Ray
            ray.shutdown()
            if number == STARTS:
                raise InputError(
                    f"Ray does not start on this machine ({first_line(error)}); it was tried "
                    f"{STARTS} times. Is the machine busy, or its memory or /dev/shm full?"
                ) from error
            logger.warning("Ray did not start (%s); tried again", first_line(error))
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


def first_line(error: BaseException) -> str:
    """Of what an error says; of one that says nothing, its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
