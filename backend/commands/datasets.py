"""`videogem datasets`: count and check a dataset before anything is computed on it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from videogem.errors import InputError

if TYPE_CHECKING:
    from videogem.datasets.base import Dataset, ReadOptions


def register(app: typer.Typer) -> None:
    app.command()(datasets)


def datasets(
    name: str = typer.Argument(
        help="vhico, daly, youcook, groundingyoutube, daly-videogem, youcook-videogem, jsonl, "
        "labelstudio or demo."
    ),
    *,
    root: Path | None = typer.Option(None, help="The folder with the dataset's files."),
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
    drop: list[str] = typer.Option(
        [], help="Leave out boxes for this reason, such as 'zero area'; may be repeated."
    ),
    narration_field: str | None = typer.Option(
        None, help="Label Studio: the data field with the narration."
    ),
    items: Path | None = typer.Option(
        None, help="Write the usable items as JSON lines: ids, boxes, frames."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Count videos, items, boxes and classes, and what was dropped or looks wrong."""
    options = read_options(
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
    )
    dataset = open_dataset(name, root, options)
    if items is not None:
        _write_items(dataset, items)
    if as_json:
        typer.echo(json.dumps(dataset.summary(), ensure_ascii=False))
    else:
        typer.echo(_text(dataset))


def read_options(*, drop: list[str], **values: Any) -> "ReadOptions":
    """ReadOptions from what the command line gave.

    Raises:
        InputError: a choice or a reason there is not.
    """
    from videogem.datasets.base import BOX_REASONS, ReadOptions

    for option, choices in (
        ("boxes", (None, "all", "first", "enclosing")),
        ("canvas", ("capped", "filtered", "frame")),
    ):
        if values[option] not in choices:
            names = ", ".join(choice for choice in choices if choice)
            raise InputError(f"--{option} must be one of {names}, got '{values[option]}'.")
    for reason in drop:
        if reason not in BOX_REASONS:
            raise InputError(
                f"--drop takes one of {', '.join(repr(r) for r in BOX_REASONS)}, got '{reason}'."
            )
    return ReadOptions(drop=frozenset(drop), **values)


def open_dataset(name: str, root: Path | None, options: "ReadOptions") -> "Dataset":
    """A dataset from its folder, or the demo world."""
    from videogem.datasets.registry import canonical_name, read_dataset

    name = canonical_name(name)
    if name == "demo":
        from videogem.evaluation_demo import demo_dataset

        return demo_dataset()
    return read_dataset(name, root, options)


def _write_items(dataset: "Dataset", path: Path) -> None:
    from videogem.evaluation_files import annotation_row

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
