"""A bar on stderr with the rate and the time left, so that stdout stays for results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

SHOWN_EVERY = 0.1  # seconds; thousands of updates a second would cost more than they tell

Update = Callable[[int, int | None], None]  # done, total


@contextmanager
def progress(title: str) -> Iterator[Update]:
    """What is called with how many are done, and of how many.

    Of a run that ends with an error before it was called, nothing is left to see.
    """
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

        shown_at, has_begun = 0.0, False

        def update(done: int, total: int | None) -> None:
            nonlocal shown_at, has_begun
            has_begun = True
            now = monotonic()
            if done != total and now - shown_at < SHOWN_EVERY:
                return
            shown_at = now
            speed = bars.tasks[0].speed
            bars.update(bar, total=total, completed=done, rate=f"{speed:.1f}/s" if speed else "")

        try:
            yield update
        except BaseException:
            if not has_begun:  # an empty bar before an error says nothing
                bars.live.transient = True
                bars.live.stop()
                bars.disable = True  # nor does the empty line that ends a bar
            raise
