"""Options that say which dataset is meant, shared by `videogem datasets` and `evaluate`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videogem.errors import InputError, check_choice

if TYPE_CHECKING:
    from videogem.datasets.base import Dataset, ReadOptions

AnnotationsFile = Annotated[
    Path | None, typer.Option("--annotations", help="The annotation file, if not found.")
]
FramesFolder = Annotated[
    Path | None, typer.Option("--frames", help="Folder of stored frames, if not in the root.")
]
VideosFolder = Annotated[
    Path | None, typer.Option("--videos", help="Folder of videos, if not in the root.")
]
Subset = Annotated[
    str | None, typer.Option(help="V-HICO: test or unseen. DALY: test, train or all.")
]
Boxes = Annotated[
    str | None,
    typer.Option(help="Which boxes count: all, first or enclosing; default: the paper's protocol."),
]
Canvas = Annotated[
    str,
    typer.Option(help="YouCook boxes: capped (640x360 rule), filtered (authors' list) or frame."),
]
SecondOffset = Annotated[
    int | None,
    typer.Option(help="GroundingYouTube: stored target frame = second + this; default -1."),
]
FixClip = Annotated[
    bool, typer.Option("--fix-clip", help="GroundingYouTube: bring y back to the canvas.")
]
Drop = Annotated[
    list[str] | None,
    typer.Option(help="Leave out boxes for this reason, such as 'zero area'; may be repeated."),
]
NarrationField = Annotated[
    str | None, typer.Option(help="Label Studio: the data field with the narration.")
]

MediaField = Annotated[
    str | None, typer.Option(help="Label Studio: the data field with the image, video or frames.")
]


def read_options(*, drop: Sequence[str] | None, **values: Any) -> "ReadOptions":
    """ReadOptions from what the command line gave.

    Raises:
        InputError: a choice or a reason there is not.
    """
    from videogem.datasets.base import BOX_REASONS, ReadOptions

    for option, choices in (
        ("boxes", (None, "all", "first", "enclosing")),
        ("canvas", ("capped", "filtered", "frame")),
        ("missing", (None, "drop", "repeat")),
    ):
        if values.get(option) is not None:
            check_choice(f"--{option}", values[option], [name for name in choices if name])
    for reason in drop or ():
        if reason not in BOX_REASONS:
            raise InputError(
                f"--drop takes one of {', '.join(repr(r) for r in BOX_REASONS)}, got '{reason}'."
            )
    return ReadOptions(drop=frozenset(drop or ()), **values)


def open_datasets(
    names: Sequence[str],
    roots: Sequence[Path],
    options: "ReadOptions",
    *,
    splits: Sequence[str] = ("unseen-pairs",),
    **demo: Any,
) -> "Iterator[Dataset]":
    """The datasets asked for, each with its root; the demo world's splits one by one.

    Raises:
        InputError: unknown names, roots that do not fit, unreadable files.
    """
    from videogem.datasets.registry import canonical_name, read_dataset

    if len(roots) not in (0, 1, len(names)):
        raise InputError(
            f"Give one --root for all datasets or one for each; got {len(roots)} for {len(names)}."
        )
    for index, name in enumerate(names):
        if canonical_name(name) == "demo":
            from videogem.evaluation.demo import demo_dataset

            for split in dict.fromkeys(splits):
                yield demo_dataset(split, **demo)
        else:
            root = roots[0] if len(roots) == 1 else roots[index] if roots else None
            yield read_dataset(name, root, options)
