"""The steps of `videogem evaluate` that are more than options: choose, run, compare, report."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import typer

from backend.commands.support.evaluation_project import project_predictions
from videogem.datasets.base import Dataset
from videogem.errors import InputError
from videogem.evaluation import Row, score
from videogem.evaluation.compare import Comparison, compare
from videogem.evaluation.files import read_predictions
from videogem.evaluation.methods import MethodSpec, parse_method
from videogem.evaluation.paper import VIDEO_TABLES, table_methods
from videogem.evaluation.report import write_report
from videogem.evaluation.run import Advance, RunOptions, RunResult, count_pending, run

DEFAULT_METHODS = ("clip", "maskclip", "gem", "videogem")


def choose_methods(
    methods: Sequence[str], table: int | None, models: Sequence[str], *, only_others: bool
) -> list[MethodSpec]:
    """The methods to compute: those named, those of a table, or the usual four.

    With ``only_others`` (predictions of other systems are scored) none unless some are named.

    Raises:
        InputError: an unknown method or table, or a table that the models cannot fill.
    """
    if table is None:
        names = methods or (() if only_others else DEFAULT_METHODS)
        return [parse_method(text) for text in dict.fromkeys(names)]
    if methods:
        raise InputError("--table chooses the methods itself; leave out --method.")
    if table in VIDEO_TABLES:
        _check_video_models(table, models)
    return table_methods(table)


def _check_video_models(table: int, models: Sequence[str]) -> None:
    from videogem.backbones.zoo import load_backbone

    for model in models:
        if load_backbone(model, device="cpu").num_frames == 1:
            raise InputError(
                f"Table {table} compares video input with one frame repeated and needs a video "
                f"model; '{model}' looks at one frame. `videogem models` lists the video models."
            )


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """A dataset's first items, or all."""
    return dataset if limit is None else replace(dataset, items=dataset.items[:limit])


def run_all(
    sets: Sequence[Dataset],
    models: Sequence[str],
    specs: Sequence[MethodSpec],
    options: RunOptions,
) -> RunResult:
    """Every method on every model and dataset, with one progress bar."""
    result = RunResult()
    if not specs:
        return result
    total = sum(count_pending(one.name, one.items, models, specs, options) for one in sets)
    with progress(total) as advance:
        for one in sets:
            part = run(one.name, one.items, models, specs, options, advance=advance)
            result.rows.extend(part.rows)
            result.skipped.extend(part.skipped)
    return result


@contextmanager
def progress(total: int) -> Iterator[Advance]:
    """A bar with the time left, on stderr so that stdout stays for results."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("items"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("items", total=total)
        yield lambda count: bar.advance(task, count)


def external_rows(dataset: Dataset, files: Sequence[str], options: RunOptions) -> Iterator[Row]:
    """Rows of other systems, from files given as FILE or NAME=FILE."""
    for text in files:
        name, _, path = text.rpartition("=")
        found = read_predictions(Path(path), dataset.items)
        yield score(
            dataset.items,
            found,
            dataset=dataset.name,
            model=path,
            method=name or Path(path).stem,
            rule=options.rule,
        )


def stored_rows(dataset: Dataset, project: str, options: RunOptions) -> Iterator[Row]:
    """Rows of the predictions stored in a Label Studio project, one per model version."""
    for version, found in project_predictions(project).items():
        yield score(
            dataset.items,
            found,
            dataset=dataset.name,
            model=version,
            method="stored",
            rule=options.rule,
        )


def comparisons_of(rows: Sequence[Row], sets: Sequence[Dataset]) -> list[Comparison]:
    """The best row of each dataset against its others."""
    found = []
    for one in sets:
        own = [row for row in rows if row.dataset == one.name and row.share.n]
        best = max(own, key=lambda row: row.share.accuracy or 0.0, default=None)
        clusters = {item.id: item.video for item in one.items}
        models = {row.model for row in own}
        for row in own:
            if best is not None and row is not best:
                names = (_row_name(best, models), _row_name(row, models))
                found.append(compare(best.outcomes, row.outcomes, names=names, clusters=clusters))
    return found


def _row_name(row: Row, models: set[str]) -> str:
    return row.method if len(models) == 1 else f"{row.method} · {row.model}"


def tell_skipped(result: RunResult, sets: Sequence[Dataset]) -> None:
    """Say on stderr what was not scored, and why."""
    for one in sets:
        if dropped := one.reasons(dropped=True):
            reasons = ", ".join(f"{count} x {reason}" for reason, count in dropped.items())
            typer.echo(f"{one.name}: left out: {reasons}", err=True)
    if result.skipped:
        first = result.skipped[0]
        typer.echo(
            f"{len(result.skipped)} items could not be read, such as {first.id}: {first.reason}",
            err=True,
        )
    for row in result.rows:
        if row.num_missing > len(result.skipped):
            typer.echo(
                f"{row.method} ({row.model}): {row.num_missing} items have no prediction and are "
                f"not scored",
                err=True,
            )


def write(
    out: Path,
    result: RunResult,
    sets: Sequence[Dataset],
    comparisons: Sequence[Comparison],
    *,
    title: str,
    table: int | None,
) -> None:
    """JSON, CSV, Markdown and PNG into a folder."""
    write_report(
        out,
        result.rows,
        title=title,
        table=table,
        comparisons=comparisons,
        skipped=result.skipped,
        notes={"datasets": [one.summary() for one in sets]},
    )
