"""`videogem evaluate`: how well methods, models and other systems point, on any dataset."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backend.commands.datasets import open_dataset, read_options
from videogem.errors import InputError

if TYPE_CHECKING:
    from videogem.datasets.base import Dataset
    from videogem.evaluation import Row
    from videogem.evaluation_compare import Comparison
    from videogem.evaluation_methods import MethodSpec
    from videogem.evaluation_run import Advance, RunOptions, RunResult

logger = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    app.command()(evaluate)


def evaluate(
    *,
    dataset: list[str] = typer.Option(
        ["demo"], help="A dataset as in `videogem datasets`; may be repeated."
    ),
    root: list[Path] = typer.Option([], help="Its folder; one for each dataset, or one for all."),
    method: list[str] = typer.Option(
        [],
        help="clip, maskclip, clip_surgery, gem6, gem, videogem; options after a colon: "
        "'videogem:static,verb'. May be repeated; default: clip, maskclip, gem, videogem.",
    ),
    model: list[str] = typer.Option(
        ["demo"], help="A name that `videogem models` lists; may be repeated."
    ),
    table: int | None = typer.Option(None, help="Table 1 to 5 of the paper, on this data."),
    figure: int | None = typer.Option(None, help="Figure 3 or 4 of the paper, on this data."),
    predictions: list[str] = typer.Option(
        [], help="Score another system: FILE or NAME=FILE, lines as `videogem qa score` reads."
    ),
    label_studio: int | None = typer.Option(
        None, help="Score the predictions stored in this Label Studio project, by model version."
    ),
    split: list[str] = typer.Option(
        ["unseen-pairs"],
        help="Demo world: unseen-pairs, seen-pairs, unseen-style, moving-clips; may be repeated.",
    ),
    num_scenes: int = typer.Option(100, help="Demo world: scenes drawn for a split."),
    actors: int = typer.Option(3, help="Demo world: actors in a scene, 1 to 3."),
    seed: int = typer.Option(0, help="Demo world: which scenes."),
    annotations: Path | None = typer.Option(None, help="The annotation file, if not found."),
    frames: Path | None = typer.Option(None, help="Folder of stored frames, if not in the root."),
    videos: Path | None = typer.Option(None, help="Folder of videos, if not in the root."),
    subset: str | None = typer.Option(
        None, help="V-HICO: test or unseen. DALY: test, train or all."
    ),
    boxes: str | None = typer.Option(
        None, help="Which boxes count: all, first or enclosing; default: the paper's protocol."
    ),
    canvas: str = typer.Option(
        "capped", help="YouCook boxes: capped (640x360 rule), filtered (authors' list) or frame."
    ),
    second_offset: int | None = typer.Option(
        None, help="GroundingYouTube: stored target frame = second + this; default -1."
    ),
    fix_clip: bool = typer.Option(
        False, "--fix-clip", help="GroundingYouTube: bring y back to the canvas."
    ),
    missing: str | None = typer.Option(
        None, help="Video models, missing neighbours: drop or repeat; default: the protocol."
    ),
    drop: list[str] = typer.Option(
        [], help="Leave out boxes for this reason, such as 'zero area'; may be repeated."
    ),
    narration_field: str | None = typer.Option(
        None, help="Label Studio: the data field with the narration."
    ),
    rule: str = typer.Option("exact", help="exact, or grid: the reference's 224-pixel rounding."),
    limit: int | None = typer.Option(None, help="Only the first items of a dataset."),
    image_size: int | None = typer.Option(None, help="Input side in pixels; default: the model's."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    batch_size: int = typer.Option(16, min=1, help="Frames in one pass of the image tower."),
    processes: int = typer.Option(1, min=1, help="Processes on this machine."),
    out: Path | None = typer.Option(
        None, help="Folder for JSON, CSV, Markdown and PNG; a run with the same folder resumes."
    ),
    cache: Path | None = typer.Option(
        None, help="Folder that keeps the image tower's output between runs (large)."
    ),
    compare: bool = typer.Option(
        True, help="Compare the best row with the others, item by item (McNemar, bootstrap)."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print a list of rows and nothing else."),
) -> None:
    """Pointing accuracy with its interval and box overlap, per method and model."""
    from videogem.evaluation_methods import parse_method
    from videogem.evaluation_paper import FIGURES, TABLES, VIDEO_TABLES, table_methods
    from videogem.evaluation_run import RunOptions

    if missing not in (None, "drop", "repeat"):
        raise InputError(f"--missing must be drop or repeat, got '{missing}'.")
    if rule not in ("exact", "grid"):
        raise InputError(f"--rule must be exact or grid, got '{rule}'.")
    if figure is not None and figure not in FIGURES:
        raise InputError(f"The figures are 3 and 4, got {figure}.")
    if figure is not None and out is None:
        raise InputError("--figure needs --out DIR, the folder for its picture and numbers.")
    if table is not None:
        specs = table_methods(table)
        if method:
            raise InputError("--table chooses the methods itself; leave out --method.")
        if table in VIDEO_TABLES:
            _check_video_models(model, device)
    elif method:
        specs = [parse_method(text) for text in dict.fromkeys(method)]
    else:
        external = bool(predictions) or label_studio is not None
        defaults = () if external else ("clip", "maskclip", "gem", "videogem")
        specs = [parse_method(text) for text in defaults]
    read = read_options(
        annotations=annotations,
        frames=frames,
        videos=videos,
        subset=subset,
        boxes=boxes,
        canvas=canvas,
        second_offset=second_offset,
        fix_clip=fix_clip,
        missing=missing,
        drop=drop,
        narration_field=narration_field,
    )
    options = RunOptions(
        device=device,
        batch_size=batch_size,
        processes=processes,
        image_size=image_size,
        rule="grid" if rule == "grid" else "exact",
        predictions_folder=None if out is None else out / "predictions",
        tokens_folder=cache,
    )
    if label_studio is not None:
        sets = [_label_studio_dataset(label_studio, narration_field)]
    else:
        demo = {"num_scenes": num_scenes, "actors": actors, "seed": seed}
        sets = list(_open_all(dataset, root, read, split, demo))
    sets = [_limited(one, limit) for one in sets]
    if figure is not None:
        assert out is not None
        _figure(figure, sets, model, options, out, as_json=as_json)
        return
    result = _run_all(sets, model, specs, options)
    for one in sets:
        result.rows.extend(_external_rows(one, predictions, options))
    if label_studio is not None:
        result.rows.extend(_stored_rows(sets[0], label_studio, options))
    _tell_skipped(result, sets)
    comparisons = _comparisons(result.rows, sets) if compare else []
    title = "Evaluation" if table is None else f"Table {table}: {TABLES[table][0]}"
    if out is not None:
        _write(out, result, sets, title, table, comparisons)
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in result.rows]))
    else:
        _print(result.rows, title, table, comparisons)


def _open_all(
    names: Sequence[str],
    roots: Sequence[Path],
    read: Any,
    splits: Sequence[str],
    demo: dict[str, Any],
) -> Iterator["Dataset"]:
    """The datasets asked for, each with its root; the demo world's splits one by one."""
    from videogem.datasets.registry import canonical_name

    if len(roots) not in (0, 1, len(names)):
        raise InputError(
            f"Give one --root for all datasets or one for each; got {len(roots)} for {len(names)}."
        )
    for index, name in enumerate(names):
        if canonical_name(name) == "demo":
            from videogem.evaluation_demo import demo_dataset

            for split in dict.fromkeys(splits):
                yield demo_dataset(split, **demo)
        else:
            root = roots[0] if len(roots) == 1 else roots[index] if roots else None
            yield open_dataset(name, root, read)


def _limited(dataset: "Dataset", limit: int | None) -> "Dataset":
    from dataclasses import replace

    return dataset if limit is None else replace(dataset, items=dataset.items[:limit])


def _check_video_models(models: Sequence[str], device: str) -> None:
    from videogem.backbones.zoo import load_backbone

    for model in models:
        if load_backbone(model, device=device).num_frames == 1:
            raise InputError(
                f"Table 5 compares video input with one frame repeated and needs a video model; "
                f"'{model}' looks at one frame. `videogem models` lists the video models."
            )


def _run_all(
    sets: Sequence["Dataset"],
    models: Sequence[str],
    specs: Sequence["MethodSpec"],
    options: "RunOptions",
) -> "RunResult":
    from videogem.evaluation_run import RunResult, count_pending, run

    result = RunResult()
    if not specs:
        return result
    total = sum(count_pending(one.name, one.items, models, specs, options) for one in sets)
    with _progress(total) as advance:
        for one in sets:
            part = run(one.name, one.items, models, specs, options, advance=advance)
            result.rows.extend(part.rows)
            result.skipped.extend(part.skipped)
    return result


@contextmanager
def _progress(total: int) -> Iterator["Advance"]:
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("items", total=total)
        yield lambda count: progress.advance(task, count)


def _external_rows(
    dataset: "Dataset", files: Sequence[str], options: "RunOptions"
) -> Iterator["Row"]:
    from videogem.evaluation import score
    from videogem.evaluation_files import read_predictions

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


def _label_studio_dataset(project: int, narration_field: str | None) -> "Dataset":
    from backend.evaluation_project import project_dataset

    return project_dataset(project, narration_field)


def _stored_rows(dataset: "Dataset", project: int, options: "RunOptions") -> Iterator["Row"]:
    from backend.evaluation_project import project_predictions
    from videogem.evaluation import score

    for version, found in project_predictions(project).items():
        yield score(
            dataset.items,
            found,
            dataset=dataset.name,
            model=version,
            method="stored",
            rule=options.rule,
        )


def _comparisons(rows: Sequence["Row"], sets: Sequence["Dataset"]) -> list["Comparison"]:
    """The best row of each dataset against its others."""
    from videogem.evaluation_compare import compare

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


def _row_name(row: "Row", models: set[str]) -> str:
    return row.method if len(models) == 1 else f"{row.method} · {row.model}"


def _tell_skipped(result: "RunResult", sets: Sequence["Dataset"]) -> None:
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


def _write(
    out: Path,
    result: "RunResult",
    sets: Sequence["Dataset"],
    title: str,
    table: int | None,
    comparisons: Sequence["Comparison"],
) -> None:
    from videogem.evaluation_report import write_report

    write_report(
        out,
        result.rows,
        title=title,
        table=table,
        comparisons=comparisons,
        skipped=result.skipped,
        notes={"datasets": [one.summary() for one in sets]},
    )


def _print(
    rows: Sequence["Row"], title: str, table: int | None, comparisons: Sequence["Comparison"]
) -> None:
    from videogem.evaluation_report import markdown_table

    typer.echo(f"{title}\n\n{markdown_table(rows, table)}")
    for comparison in comparisons:
        typer.echo(comparison.sentence())


def _figure(
    number: int,
    sets: Sequence["Dataset"],
    models: Sequence[str],
    options: "RunOptions",
    out: Path,
    *,
    as_json: bool,
) -> None:
    from videogem.evaluation_figures import figure_3, figure_4

    draw = {3: figure_3, 4: figure_4}[number]
    total = sum(len(one.items) for one in sets) * len(models)
    with _progress(total) as advance:
        paths, values = draw(sets, models, options, out, advance=advance)
    if as_json:
        typer.echo(json.dumps(values))
    else:
        typer.echo("\n".join(str(path) for path in paths))
