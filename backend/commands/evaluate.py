"""`videogem evaluate`: how well methods, models and other systems point, on any dataset."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from backend.commands.support import dataset_options as option
from backend.commands.support import engine_options as engines
from backend.commands.support import numbers
from backend.folders import check_folder
from videogem.backbones.known import check_model
from videogem.errors import InputError, check_choice

if TYPE_CHECKING:
    from videogem.datasets.base import Dataset
    from videogem.evaluation.run import RunOptions


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
    table: str | None = typer.Option(
        None, help="Table 1 to 5 of the paper, on this data; 1+: Table 1 with further baselines."
    ),
    figure: str | None = typer.Option(
        None, help="Figure 3 or 4 of the paper, on this data; cosine: what each block adds."
    ),
    predictions: list[str] = typer.Option(
        [], help="Score another system: FILE or NAME=FILE, lines as `videogem qa score` reads."
    ),
    label_studio: str | None = typer.Option(
        None,
        help="Score the predictions stored in this Label Studio project, by model version: NUMBER "
        "or NUMBER@SERVER.",
    ),
    split: list[str] = typer.Option(
        ["unseen-pairs"],
        help="Demo world: unseen-pairs, seen-pairs, unseen-style, moving-clips; may be repeated.",
    ),
    num_scenes: int = typer.Option(100, help="Demo world: scenes drawn for a split."),
    actors: int = typer.Option(3, help="Demo world: actors in a scene, 1 to 3."),
    seed: int = typer.Option(0, help="Which items --limit draws; demo world: which scenes."),
    annotations: option.AnnotationsFile = None,
    frames: option.FramesFolder = None,
    videos: option.VideosFolder = None,
    subset: option.Subset = None,
    boxes: option.Boxes = None,
    canvas: option.Canvas = "capped",
    second_offset: option.SecondOffset = None,
    fix_clip: option.FixClip = False,
    missing: str | None = typer.Option(
        None, help="Video models, missing neighbours: drop or repeat; default: the protocol."
    ),
    drop: option.Drop = None,
    narration_field: option.NarrationField = None,
    media_field: option.MediaField = None,
    rule: str = typer.Option("exact", help="exact, or grid: the reference's 224-pixel rounding."),
    limit: int | None = typer.Option(
        None, min=1, help="Draw only so many items of a dataset, of all classes in turn."
    ),
    label_style: str | None = typer.Option(
        None, help="How narrations are spelled: auto, label, camel, narration; default: the data's."
    ),
    spacy_model: str | None = typer.Option(
        None, help="spaCy model that finds words; default: the English one."
    ),
    image_size: int | None = typer.Option(None, help="Input side in pixels; default: the model's."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    dtype: str = typer.Option(
        "float32", help="Precision of the image tower: float32, bfloat16, or auto by the device."
    ),
    batch_size: int = typer.Option(16, min=1, help="Frames in one pass of the image tower."),
    processes: int = typer.Option(
        1, min=1, callback=numbers.processes, help="Processes on this machine."
    ),
    engine: engines.Engine = "local",
    address: engines.Address = None,
    cores: engines.Cores = 1,
    patience: engines.Patience = 600.0,
    out: Path | None = typer.Option(
        None, help="Folder for JSON, CSV, Markdown and PNG; a run with the same folder resumes."
    ),
    cache: Path | None = typer.Option(
        None, help="Folder that keeps the image tower's output between runs (large)."
    ),
    allow_missing: bool = typer.Option(
        False, "--allow-missing", help="Leave out items without a prediction; default: misses."
    ),
    compare: bool = typer.Option(
        True, help="Compare the best row with the others, over videos, corrected for all pairs."
    ),
    reference: str | None = typer.Option(
        None, help="Compare this method with the others instead of the best after looking."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print a list of rows and nothing else."),
) -> None:
    """Pointing accuracy with its interval and box overlap, per method and model."""
    for name in model:
        check_model(name)
    for folder, named in ((out, "--out"), (cache, "--cache")):
        if folder is not None:
            check_folder(folder, named)
    for text in predictions:
        if not (file := Path(text.rpartition("=")[2])).is_file():
            raise InputError(f"There is no predictions file '{file}'; check the path.")
    from videogem.evaluation.paper import FIGURES, TABLES

    check_choice("--rule", rule, ("exact", "grid"))
    if figure is not None:
        check_choice("--figure", figure, FIGURES)
    from backend.commands.support import evaluation_steps as steps
    from backend.commands.support.cluster_jobs import evaluate_on
    from videogem.backbones.numerics import resolve_dtype
    from videogem.evaluation.report import markdown_table
    from videogem.evaluation.run import RunOptions

    if figure is not None and out is None:
        raise InputError("--figure needs --out DIR, the folder for its picture and numbers.")
    if label_studio is not None and (method or table or figure):
        raise InputError(
            "--label-studio scores stored predictions only; to compute methods on a project, "
            "export it as JSON and use --dataset labelstudio --root DIR."
        )
    cluster = engines.cluster_of(engine, address, cores, patience)
    if cluster is not None and (processes > 1 or figure is not None):
        raise InputError("--engine ray goes with neither --processes nor --figure.")
    others = bool(predictions) or label_studio is not None
    settings = {"label_style": label_style, "spacy_model": spacy_model}
    specs = steps.choose_methods(
        method,
        table,
        model,
        only_others=others,
        settings={name: value for name, value in settings.items() if value is not None},
    )
    read = option.read_options(
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
        media_field=media_field,
    )
    options = RunOptions(
        device=device,
        batch_size=batch_size,
        processes=processes,
        image_size=image_size,
        dtype=resolve_dtype(dtype, device),
        rule="grid" if rule == "grid" else "exact",
        predictions_folder=None if out is None else out / "predictions",
        tokens_folder=cache and cache.absolute(),  # workers of a cluster are in other folders
        spread=None if cluster is None else evaluate_on(cluster),
        asks=steps.through_batcher,
    )
    if label_studio is None:
        demo = {"num_scenes": num_scenes, "actors": actors, "seed": seed}
        sets = list(option.open_datasets(dataset, root, read, splits=split, **demo))
    else:
        from backend.commands.support.evaluation_project import project_dataset

        sets = [project_dataset(label_studio, narration_field, media_field)]
    sets = [steps.limited(one, limit, seed) for one in sets]
    if figure is not None and out is not None:
        _figure(figure, sets, model, options, out, as_json=as_json)
        return
    result = steps.run_all(sets, model, specs, options)
    for one in sets:
        found = steps.external_rows(one, predictions, options.rule, allow_missing=allow_missing)
        result.rows.extend(found)
    if label_studio is not None:
        stored = steps.stored_rows(
            sets[0],
            label_studio,
            options.rule,
            allow_missing=allow_missing,
            media_field=media_field,
        )
        result.rows.extend(stored)
    steps.tell_skipped(result, sets, allow_missing=allow_missing)
    if not any(row.share.n for row in result.rows):
        raise InputError(
            "There is nothing to score: no item has both boxes that people submitted and a "
            "prediction."
        )
    comparisons = steps.comparisons_of(result.rows, sets, reference) if compare else []
    title = "Evaluation" if table is None else f"Table {table}: {TABLES[table].title}"
    written = []
    if out is not None:
        written = steps.write(out, result, sets, comparisons, title=title, table=table)
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in result.rows]))
        return
    shown = markdown_table(result.rows, table, steps.as_published(sets))
    typer.echo(f"{title}\n\n{aligned(shown) if sys.stdout.isatty() else shown}")
    for comparison in comparisons:
        typer.echo(comparison.sentence())
    if out is not None:
        typer.echo(f"\nWritten to {out}: {', '.join(path.name for path in written)}")


def aligned(markdown: str) -> str:
    """A Markdown table padded so that its columns stand below each other, as terminals need it.

    >>> print(aligned("| method | n |\\n|---|---|\\n| a | 100 |\\nA note.\\n"))
    | method | n   |
    |--------|-----|
    | a      | 100 |
    A note.
    """
    lines = markdown.splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def padded(line: str) -> str:
        if line[:1] != "|":
            return line
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if set(line) <= {"|", "-"}:
            return "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "| " + " | ".join(map(str.ljust, cells, widths)) + " |"

    return "\n".join(map(padded, lines))


def _figure(
    name: str,
    sets: Sequence["Dataset"],
    models: Sequence[str],
    options: "RunOptions",
    out: Path,
    *,
    as_json: bool,
) -> None:
    from backend.commands.support.evaluation_steps import progress
    from videogem.evaluation.figures import DRAW

    with progress(sum(len(one.items) for one in sets) * len(models)) as advance:
        paths, values = DRAW[name](sets, models, options, out, advance=advance)
    if as_json:
        typer.echo(json.dumps(values))
    else:
        typer.echo("\n".join(map(str, paths)))
