"""The steps of `videogem evaluate` that are more than options: choose, run, compare, report."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backend.commands.support.evaluation_project import project_predictions
from videogem.datasets.base import Dataset, Item
from videogem.errors import InputError
from videogem.evaluation import Row, Rule, score
from videogem.evaluation.compare import Comparison, compare_runs
from videogem.evaluation.files import read_predictions
from videogem.evaluation.methods import MethodSpec, parse_method
from videogem.evaluation.paper import paper_table, table_methods
from videogem.evaluation.report import write_report
from videogem.evaluation.run import Advance, RunOptions, RunResult, count_pending, run
from videogem.structures import Clip

if TYPE_CHECKING:
    from videogem.evaluation.tower import Found, Ground, TowerPredictor, Wanted

DEFAULT_METHODS = ("clip", "maskclip", "gem", "videogem")


def choose_methods(
    methods: Sequence[str],
    table: str | None,
    models: Sequence[str],
    *,
    only_others: bool,
    settings: Mapping[str, Any],
) -> list[MethodSpec]:
    """The methods to compute: those named, those of a table, or the usual four.

    With ``only_others`` (predictions of other systems are scored) none unless some are named.
    ``settings`` hold for every method that does not name them itself.

    Raises:
        InputError: an unknown method, setting or table, or a table that the models cannot fill.
    """
    if table is None:
        names = methods or (() if only_others else DEFAULT_METHODS)
        return [parse_method(text, **settings) for text in dict.fromkeys(names)]
    if methods:
        raise InputError("--table chooses the methods itself; leave out --method.")
    if paper_table(table).needs_video:
        _check_video_models(table, models)
    return table_methods(table, **settings)


def _check_video_models(table: str, models: Sequence[str]) -> None:
    from videogem.backbones.zoo import load_backbone

    for model in models:
        if load_backbone(model, device="cpu").num_frames == 1:
            raise InputError(
                f"Table {table} compares video input with one frame repeated and needs a video "
                f"model; '{model}' looks at one frame. `videogem models` lists the video models."
            )


def limited(dataset: Dataset, limit: int | None, seed: int) -> Dataset:
    """A draw of so many items, the classes in turn so that none is left out; or all of them.

    The same seed draws the same items; their order is the dataset's.
    """
    if limit is None or limit >= len(dataset.items):
        return dataset
    by_class: dict[str, list[Item]] = {}
    for item in random.Random(seed).sample(dataset.items, len(dataset.items)):
        by_class.setdefault(item.label, []).append(item)
    turns = zip_longest(*by_class.values())
    drawn = {item.id for item in islice((i for turn in turns for i in turn if i), limit)}
    return replace(
        dataset,
        items=tuple(item for item in dataset.items if item.id in drawn),
        deviations=(*dataset.deviations, f"{limit} of {len(dataset.items)} items"),
    )


def through_batcher(predictor: "TowerPredictor") -> "Ground":
    """Have the batcher ask the tower, as everywhere in the service: in lanes, and in halves where
    memory runs out."""
    from backend.prediction.batcher import Batcher
    from backend.prediction.questions import Priority, Question

    batcher = Batcher(predictor)

    def ground(
        clips: Sequence[Clip], wanted: Sequence[Sequence["Wanted"]]
    ) -> list[Sequence["Found"]]:
        asked = [
            batcher.ask_with_room(Question(clip, own), Priority.JOBS)
            for clip, own in zip(clips, wanted, strict=True)
        ]
        found: list[Any] = [future.result().groundings for future in asked]
        return found

    return ground


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


def external_rows(
    dataset: Dataset, files: Sequence[str], rule: Rule, *, allow_missing: bool
) -> Iterator[Row]:
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
            rule=rule,
            allow_missing=allow_missing,
        )


def stored_rows(
    dataset: Dataset,
    project: str,
    rule: Rule,
    *,
    allow_missing: bool,
    media_field: str | None = None,
) -> Iterator[Row]:
    """Rows of the predictions stored in a Label Studio project, one per model version."""
    for version, found in project_predictions(project, media_field).items():
        yield score(
            dataset.items,
            found,
            dataset=dataset.name,
            model=version,
            method="stored",
            rule=rule,
            allow_missing=allow_missing,
        )


def comparisons_of(
    rows: Sequence[Row], sets: Sequence[Dataset], reference: str | None
) -> list[Comparison]:
    """The reference of each dataset, or else its best row, against its others.

    Raises:
        InputError: a reference that no row is called.
    """
    found = []
    for one in sets:
        own = [row for row in rows if row.dataset == one.name and row.share.n]
        models = {row.model for row in own}
        runs = {_row_name(row, models): row.outcomes for row in own}
        found += compare_runs(runs, reference)
    return found


def _row_name(row: Row, models: set[str]) -> str:
    return row.method if len(models) == 1 else f"{row.method} · {row.model}"


def tell_skipped(result: RunResult, sets: Sequence[Dataset], *, allow_missing: bool) -> None:
    """Say on stderr what was not scored, and why."""
    for one in sets:
        if dropped := one.reasons(dropped=True):
            reasons = ", ".join(f"{count} x {reason}" for reason, count in dropped.items())
            typer.echo(f"{one.name}: left out: {reasons}", err=True)
        for note in one.notes:
            typer.echo(f"{one.name}: {note}", err=True)
    if result.skipped:
        first = result.skipped[0]
        typer.echo(
            f"{len(result.skipped)} items could not be read, such as {first.id}: {first.reason}",
            err=True,
        )
    for row in result.rows:
        if row.num_missing:
            typer.echo(
                f"{row.method} ({row.model}): {row.num_missing} items have no prediction and "
                f"{'are left out' if allow_missing else 'count as misses'}",
                err=True,
            )


def as_published(sets: Sequence[Dataset]) -> set[str]:
    """Names of the datasets that are read as in the paper and in full."""
    return {one.name for one in sets if not one.deviations}


def write(
    out: Path,
    result: RunResult,
    sets: Sequence[Dataset],
    comparisons: Sequence[Comparison],
    *,
    title: str,
    table: str | None,
) -> list[Path]:
    """JSON, CSV, Markdown and PNG into a folder; returns the paths."""
    return write_report(
        out,
        result.rows,
        title=title,
        table=table,
        as_published=as_published(sets),
        comparisons=comparisons,
        skipped=result.skipped,
        notes={"datasets": [one.summary() for one in sets]},
    )
