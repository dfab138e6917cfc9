"""Options that say where a bulk run happens, shared by `predict`, `annotate` and `evaluate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from videogem.errors import InputError, check_choice

if TYPE_CHECKING:
    from backend.bulk.ray_start import Cluster

ENGINES = ("local", "ray")


def _known(engine: str) -> str:
    check_choice("--engine", engine, ENGINES)
    return engine


Engine = Annotated[
    str, typer.Option(callback=_known, help="local, or ray: many processes or machines.")
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray: a cluster that runs, as HOST:PORT or auto; default: this machine."),
]
Cores = Annotated[
    int, typer.Option(min=1, help="Ray: CPU cores of one model, where there are no GPUs.")
]
Patience = Annotated[
    float, typer.Option(min=1.0, help="Ray: seconds without a result until machines are lost.")
]


def cluster_of(engine: str, address: str | None, cores: int, patience: float) -> "Cluster | None":
    """The cluster a run goes to; None for this process.

    Raises:
        InputError: an address without Ray, or Ray is not installed.
    """
    if engine == "local":
        if address is not None:
            raise InputError("--address belongs to --engine ray.")
        return None
    from backend.bulk.ray_start import Cluster, require_ray

    require_ray()
    return Cluster(address, cores, patience)
