"""What a dataset is to the evaluation: items with boxes, and findings about what is wrong."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from videogem.structures import Box, LabelStyle

PixelBox = tuple[float, float, float, float]
Size = tuple[float | int, float | int]
BoxTarget = Literal["all", "first", "enclosing"]
Canvas = Literal["capped", "filtered", "frame"]

# Reasons, as people read them. The first group concerns single boxes.
ZERO_AREA = "zero area"
INVERTED = "inverted box"
OUTSIDE = "outside the canvas"
CLIPPED = "clipped at a limit"
BOX_REASONS = (ZERO_AREA, INVERTED, OUTSIDE, CLIPPED)
NO_FRAME = "no frame"
NO_BOX = "no box"
NO_NARRATION = "no narration"
UNREADABLE = "unreadable entry"
UNREADABLE_FRAME = "unreadable frame"
DUPLICATE = "duplicate item"
EMPTY_VIDEO = "video without boxes"
LEFT_OUT = "left out by the protocol"


@dataclass(frozen=True)
class Finding:
    """One thing that was dropped or looks wrong, and where."""

    item: str
    reason: str
    dropped: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Media:
    """Where the frames of an annotation may be, in the dataset's own words, relative to the root.

    ``frame`` is the stored target frame and ``window`` the stored frames of the clip, the target
    among them at position ``target``; ``video`` with ``time`` is the other way to the same frames.
    """

    frame: str | None = None
    window: tuple[str, ...] = ()
    target: int = 0
    video: str | None = None  # file name, with or without its suffix
    time: float | None = None
    step: float = 0.25  # seconds between the clip's frames when they come from a video
    missing: Literal["drop", "repeat"] = "drop"  # what to do where frames of the window are missing


@dataclass(frozen=True)
class Annotation:
    """One annotated frame as published: boxes in pixels of a canvas."""

    id: str
    video: str
    narration: str
    label: str
    boxes: tuple[PixelBox, ...]
    media: Media
    style: LabelStyle = "auto"
    canvas_wh: Size | None = None  # None: the size of the frame itself
    capped: bool = False  # drawn on frames capped to 640 x 360 (YouCook-Interactions)
    swapped_limits: bool = False  # clipped with width for height (GroundingYouTube)
    target: BoxTarget = "all"  # what of the boxes counts, in the paper's protocol
    verb: str | None = None  # where the files name them, they are not looked for in the narration
    object: str | None = None


@dataclass(frozen=True, eq=False)
class Item:
    """One evaluation sample, ready to be read and grounded. Boxes in [0, 1] of the frame."""

    id: str
    video: str
    narration: str
    label: str
    boxes: tuple[Box, ...]
    size_wh: tuple[int, int]
    style: LabelStyle = "auto"
    image: Path | UInt8[np.ndarray, "H W 3"] | None = None
    windowed: bool = False  # published with neighbouring frames,
    window: tuple[Path, ...] = ()  # which are these, if all were found
    target: int = 0
    video_path: Path | None = None
    time: float | None = None
    step: float = 0.25
    missing: Literal["drop", "repeat"] = "drop"  # where a video model's neighbours are not there
    verb: str | None = None
    object: str | None = None
    canvas_boxes: tuple[PixelBox, ...] = ()  # as published, which the reference's rounding needs
    canvas_wh: Size | None = None


@dataclass(frozen=True)
class ReadOptions:
    """Where things are, and each deviation from the paper's protocol; None is the protocol."""

    annotations: Path | None = None
    frames: Path | None = None
    videos: Path | None = None
    subset: str | None = None  # V-HICO: test or unseen; DALY: test, train or all
    boxes: BoxTarget | None = None
    canvas: Canvas = "capped"  # YouCook-Interactions
    second_offset: int | None = None  # GroundingYouTube: stored frame = second + offset
    fix_clip: bool = False  # GroundingYouTube: bring y back to the canvas
    missing: Literal["drop", "repeat"] | None = None  # neighbours of the clip that are not there
    drop: frozenset[str] = frozenset()  # reasons for which a box is left out
    narration_field: str | None = None  # Label Studio exports
    media_field: str | None = None  # Label Studio exports

    def deviations(self) -> tuple[str, ...]:
        """What is not as in the paper's protocol, as people read it."""
        found = [f"boxes {self.boxes}"] if self.boxes else []
        found += [f"subset {self.subset}"] if self.subset not in (None, "test") else []
        found += [f"canvas {self.canvas}"] if self.canvas != "capped" else []
        found += [f"second offset {self.second_offset}"] if self.second_offset is not None else []
        found += ["clipping mended"] if self.fix_clip else []
        found += [f"missing neighbours: {self.missing}"] if self.missing else []
        return (*found, *(f"without boxes '{reason}'" for reason in sorted(self.drop)))


@dataclass(frozen=True)
class Annotations:
    """Everything a reader found in the files."""

    entries: tuple[Annotation, ...]
    findings: tuple[Finding, ...] = ()
    videos: frozenset[str] = frozenset()  # also those without any entry
    num_entries: int | None = None  # entries in the files, also unreadable ones
    told: tuple[str, ...] = ()  # what the reader chose where the files left it open


@dataclass(frozen=True)
class Reader:
    """How a dataset is asked for, and the function that reads its folder."""

    name: str
    about: str  # one line
    read: Callable[[Path, ReadOptions], Annotations]
    other_names: tuple[str, ...] = ()  # case and punctuation do not matter


@dataclass(frozen=True, eq=False)
class Dataset:
    """Usable items, and an account of everything else."""

    name: str
    root: Path | None
    items: tuple[Item, ...]
    num_items: int
    num_boxes: int
    videos: frozenset[str]
    classes: Mapping[str, int]  # annotated items per class
    findings: tuple[Finding, ...] = ()
    deviations: tuple[str, ...] = ()  # from the paper's protocol; its numbers are of other data
    told: tuple[str, ...] = ()  # what the reader chose where the files left it open

    @property
    def num_repeated(self) -> int:
        """Items whose stored neighbours are missing, so that a video model sees one frame only."""
        return sum(
            item.windowed and not item.window and item.missing == "repeat" for item in self.items
        )

    @property
    def notes(self) -> list[str]:
        """What somebody who reads figures of these items has to know."""
        found = [*self.told]
        if self.num_repeated:
            windows = sum(item.windowed for item in self.items)
            found.append(
                f"of {self.num_repeated} of {windows} windows frames are missing: a video model "
                f"sees the target frame repeated there"
            )
        if self.deviations:
            found.append(f"otherwise than in the paper: {', '.join(self.deviations)}")
        return found

    def reasons(self, *, dropped: bool) -> dict[str, int]:
        """Count of findings by reason, most frequent first."""
        counts = Counter(f.reason for f in self.findings if f.dropped == dropped)
        return dict(counts.most_common())

    def summary(self) -> dict[str, object]:
        """The account as plain values, for ``videogem datasets --json``."""
        examples: dict[str, list[str]] = {}
        for finding in self.findings:
            shown = examples.setdefault(finding.reason, [])
            if len(shown) < 5:
                text = f"{finding.item}: {finding.detail}" if finding.detail else finding.item
                shown.append(text)
        return {
            "dataset": self.name,
            "root": None if self.root is None else str(self.root),
            "videos": len(self.videos),
            "images": len({item.image for item in self.items if isinstance(item.image, Path)}),
            "items": self.num_items,
            "usable": len(self.items),
            "boxes": self.num_boxes,
            "classes": len(self.classes),
            "repeated_windows": self.num_repeated,
            "dropped": self.reasons(dropped=True),
            "suspicious": self.reasons(dropped=False),
            "examples": examples,
            "items_by_class": dict(sorted(self.classes.items())),
            "notes": self.notes,
        }
