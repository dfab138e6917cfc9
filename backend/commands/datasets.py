"""`videogem datasets`: count and check a dataset before anything is computed on it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backend.commands.support import dataset_options as option

if TYPE_CHECKING:
    from videogem.datasets.base import Dataset


def register(app: typer.Typer) -> None:
    app.command()(datasets)


def datasets(
    name: str | None = typer.Argument(
        None, help="Which one; left out, the names of all are printed."
    ),
    *,
    root: Path | None = typer.Option(None, help="The folder with the dataset's files."),
    annotations: option.AnnotationsFile = None,
    frames: option.FramesFolder = None,
    videos: option.VideosFolder = None,
    subset: option.Subset = None,
    boxes: option.Boxes = None,
    canvas: option.Canvas = "capped",
    second_offset: option.SecondOffset = None,
    fix_clip: option.FixClip = False,
    drop: option.Drop = None,
    narration_field: option.NarrationField = None,
    media_field: option.MediaField = None,
    items: Path | None = typer.Option(
        None, help="Write the usable items as JSON lines: ids, boxes, frames."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Count videos, items, boxes and classes, and what was dropped or looks wrong."""
    if name is None:
        _print_names(as_json=as_json)
        return
    options = option.read_options(
        annotations=annotations,
        frames=frames,
        videos=videos,
        subset=subset,
        boxes=boxes,
        canvas=canvas,
        second_offset=second_offset,
        fix_clip=fix_clip,
        drop=drop,
        narration_field=narration_field,
        media_field=media_field,
    )
    (dataset,) = option.open_datasets([name], [] if root is None else [root], options)
    if items is not None:
        _write_items(dataset, items)
    if as_json:
        typer.echo(json.dumps(dataset.summary(), ensure_ascii=False))
    else:
        typer.echo(_text(dataset))


def _print_names(*, as_json: bool) -> None:
    from videogem.datasets.registry import described_names

    names = described_names()
    if as_json:
        typer.echo(json.dumps(names, ensure_ascii=False))
    else:
        typer.echo("\n".join(f"{name:<18}{line}" for name, line in names.items()))


def _write_items(dataset: "Dataset", path: Path) -> None:
    from videogem.evaluation.files import annotation_row

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for item in dataset.items:
            file.write(json.dumps(annotation_row(item), ensure_ascii=False) + "\n")


def _text(dataset: "Dataset") -> str:
    summary: dict[str, Any] = dataset.summary()
    lines = [
        f"{summary['dataset']}: {summary['videos']} videos, {summary['items']} items "
        f"({summary['usable']} usable), {summary['boxes']} boxes, {summary['classes']} classes"
    ]
    for heading, key in (("dropped", "dropped"), ("looks wrong, kept", "suspicious")):
        for reason, count in summary[key].items():
            lines.append(
                f"  {heading}: {count} x {reason}, such as {summary['examples'][reason][0]}"
            )
    lines.extend(f"  {note}" for note in summary["notes"])
    return "\n".join(lines)
