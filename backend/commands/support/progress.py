"""A bar on stderr with the rate and the time left, so that stdout stays for results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Update = Callable[[int, int | None], None]  # done, total


@contextmanager
def progress(title: str) -> Iterator[Update]:
    """What is called with how many are done, and of how many."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(title, total=None, rate="")

        def update(done: int, total: int | None) -> None:
            speed = bars.tasks[0].speed
            bars.update(bar, total=total, completed=done, rate=f"{speed:.1f}/s" if speed else "")

        yield update
