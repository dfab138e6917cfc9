"""What ten thousand, a million and a hundred million frames take: `python -m benchmarks.scaling`.

Arithmetic on measured rates, and a simulation of Label Studio, whose requests get dearer the more
tasks a project has. `docs/scaling.md` shows what this prints; prices are assumed, give your own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from benchmarks.gpu import write

FRAMES = (10_000, 1_000_000, 100_000_000)
PROJECT_SIZES = (1_000, 5_000, 10_000, 50_000, 100_000)
HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True)
class Way:
    """A way from files to rows: frames a second of one machine, and what of it is used."""

    name: str
    frames_per_s: float
    cores: int
    gpus: int


# benchmarks/RESULTS.md, 30 November 2026: one H200, 16 cores; JPEG files of 720p to JSONL, B/16.
WAYS = (
    Way("one core, no GPU", 1 / 0.594, 1, 0),
    Way("GPU, the cores decode", 1060, 16, 1),
    Way("GPU, it decodes too, 4 processes", 3275, 16, 1),
    Way("GPU, it decodes too, 6 processes", 4145, 16, 1),
    Way("GPU, the tower never waits", 9898, 0, 1),  # the lowest of three runs
)
DECODED_PER_CORE = 2244 / 16  # frames a second, all 16 cores at work
FRAME_BYTES = 157_000  # a JPEG of 720p


@dataclass(frozen=True)
class LabelStudioCosts:
    """Seconds of Label Studio 1.23.2 with SQLite on two cores, from 5,000 tasks by one click."""

    sending: float = 13 / 5000  # a task: reading it and sending it to the backend
    saving: float = 2 / 5000  # a prediction
    counting: float = 4 / 5000  # a task of the project, after each request that saved something


@dataclass(frozen=True)
class Bytes:
    """What a frame with one prediction leaves behind: databases of 5,000, divided."""

    row: int = 600  # a line of JSONL, all fields of docs/bulk.md
    label_studio: int = 1440  # task and prediction of one region, Label Studio's SQLite
    store: int = 850  # prediction of a point and a box, the backend's SQLite


@dataclass(frozen=True)
class Prices:
    """Assumed, in dollars."""

    gpu_hour: float = 3.0  # with the machine around it
    core_hour: float = 0.04
    tb_month: float = 20.0


def requests_of(project_size: int, batch: int) -> Iterator[int]:
    """The sizes of the requests that bring a project's predictions into Label Studio."""
    left = project_size
    while left > 0:
        yield min(batch, left)
        left -= batch


def project_seconds(
    project_size: int, *, batch: int = 5000, costs: LabelStudioCosts | None = None
) -> float:
    """Seconds until all tasks of a project have been sent, predicted (for nothing) and saved.

    >>> project_seconds(5000)
    19.0
    """
    costs = costs or LabelStudioCosts()
    return sum(
        size * (costs.sending + costs.saving) + project_size * costs.counting
        for size in requests_of(project_size, batch)
    )


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(45), duration(5400), duration(200_000)
    ('45 s', '1.5 h', '2.3 days')
    """
    if seconds < 600:
        return f"{seconds:.0f} s"
    if seconds < 2 * DAY:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / DAY:,.1f} days"


def size(count: float) -> str:
    """Bytes as people say them.

    >>> size(7_000_000), size(15_700_000_000_000)
    ('7 MB', '15.7 TB')
    """
    for unit, name in ((1e12, "TB"), (1e9, "GB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1e6:,.0f} MB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def grounding(prices: Prices) -> str:
    """Time and money until all frames are rows of a file, on one machine of each kind."""
    rows = []
    for way in WAYS:
        cells = [way.name, f"{way.frames_per_s:,.1f}" if way.frames_per_s < 10 else (
            f"{way.frames_per_s:,.0f}")]  # fmt: skip
        for frames in FRAMES:
            seconds = frames / way.frames_per_s
            hourly = way.gpus * prices.gpu_hour + (0 if way.gpus else way.cores * prices.core_hour)
            cells.append(f"{duration(seconds)}, ${seconds / HOUR * hourly:,.0f}")
        cores = way.cores if way.cores else way.frames_per_s / DECODED_PER_CORE
        cells += [f"{cores:.0f}", f"{way.frames_per_s * FRAME_BYTES * 8 / 1e9:.2g} Gbit/s"]
        rows.append(cells)
    head = ["", "frames/s", *(f"{frames:,} frames" for frames in FRAMES), "cores to decode", "read"]
    return table(head, rows)


def storage(sizes: Bytes, prices: Prices) -> str:
    """What lies where afterwards."""
    rows = []
    for name, each in (
        ("frames (JPEG, 720p)", FRAME_BYTES),
        ("rows of JSONL", sizes.row),
        ("Label Studio's database", sizes.label_studio),
        ("the backend's database", sizes.store),
    ):
        monthly = FRAMES[-1] * each / 1e12 * prices.tb_month
        totals = [size(frames * each) for frames in FRAMES]
        rows.append([name, f"{each:,}", *totals, f"${monthly:,.0f}"])
    head = ["", "bytes a frame", *(f"{frames:,}" for frames in FRAMES), "a month, the last"]
    return table(head, rows)


def label_studio(costs: LabelStudioCosts) -> str:
    """How long one Label Studio takes to get predictions of all frames, by the size of projects."""
    rows = []
    for project_size in PROJECT_SIZES:
        seconds = project_seconds(project_size, costs=costs)
        rate = project_size / seconds
        times = [duration(frames / rate) for frames in FRAMES]
        rows.append([f"{project_size:,}", f"{rate:.0f}", *times])
    head = ["tasks a project", "predictions/s", *(f"{frames:,} frames" for frames in FRAMES)]
    return table(head, rows)


def figures(prices: Prices) -> str:
    """All tables, as `docs/scaling.md` has them."""
    return "\n\n".join(
        (grounding(prices), storage(Bytes(), prices), label_studio(LabelStudioCosts()))
    )


def main(
    gpu_hour: Annotated[float, typer.Option(help="Dollars an hour of GPU.")] = Prices.gpu_hour,
    core_hour: Annotated[float, typer.Option(help="Dollars an hour of a core.")] = Prices.core_hour,
    tb_month: Annotated[float, typer.Option(help="Dollars a month of a TB.")] = Prices.tb_month,
) -> None:
    """Print the tables."""
    write(figures(Prices(gpu_hour, core_hour, tb_month)))


if __name__ == "__main__":
    typer.run(main)
