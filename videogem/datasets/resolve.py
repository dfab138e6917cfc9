"""From annotations as published to items that can be read: frames found, boxes in [0, 1].

Everything that does not fit is written down as a `Finding`; what the protocol leaves out is
dropped, what merely looks wrong is kept unless its reason is asked to be dropped.
"""

import os
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from videogem.datasets.base import (
    CLIPPED,
    INVERTED,
    NO_BOX,
    NO_FRAME,
    NO_NARRATION,
    OUTSIDE,
    UNREADABLE_FRAME,
    ZERO_AREA,
    Annotation,
    Annotations,
    BoxTarget,
    Dataset,
    Finding,
    Item,
    PixelBox,
    ReadOptions,
    Size,
)
from videogem.errors import InputError
from videogem.metrics import enclosing_box, youcook_canvas
from videogem.structures import Box

FRAME_FOLDERS = ("", "frames", "extracted_frames", "images")
WINDOW_FOLDERS = ("frames_surrounding", "extracted_frames_surrounding")
VIDEO_FOLDERS = ("", "videos", "video")
VIDEO_SUFFIXES = ("", ".mp4", ".mkv", ".webm", ".avi", ".mov")
EXIF_ORIENTATION = 0x0112


class Files:
    """Looks for frames and videos below a root, or in the folders given instead.

    Each folder is listed once: a dataset has hundreds of thousands of frames, and asking the file
    system for every candidate takes minutes on a network drive.
    """

    def __init__(self, root: Path, frames: Path | None = None, videos: Path | None = None) -> None:
        self.root = root
        self.frames = frames
        self.videos = videos
        self._listings: dict[str, frozenset[str]] = {}

    def frame(self, name: str | None) -> Path | None:
        return self._find(name, self.frames, FRAME_FOLDERS, ("",))

    def window_frame(self, name: str) -> Path | None:
        return self._find(name, self.frames, (*WINDOW_FOLDERS, *FRAME_FOLDERS), ("",))

    def video(self, name: str | None) -> Path | None:
        return self._find(name, self.videos, VIDEO_FOLDERS, VIDEO_SUFFIXES)

    def _find(
        self,
        name: str | None,
        given: Path | None,
        folders: tuple[str, ...],
        suffixes: tuple[str, ...],
    ) -> Path | None:
        if not name:
            return None
        # Plain strings: half a million path objects would cost more than the look-ups.
        root = str(self.root if given is None else given)
        for folder in folders if given is None else ("",):
            parent, file = os.path.split(os.path.join(root, folder, name))  # noqa: PTH118
            files = self._files_in(parent)
            for suffix in suffixes:
                if file + suffix in files:
                    return Path(parent, file + suffix)
        return None

    def _files_in(self, folder: str) -> frozenset[str]:
        """Names of the files in a folder; none where there is no such folder."""
        if folder not in self._listings:
            try:
                with os.scandir(folder) as entries:
                    names = frozenset(entry.name for entry in entries if entry.is_file())
            except OSError:
                names = frozenset()
            self._listings[folder] = names
        return self._listings[folder]


def resolve(name: str, root: Path, found: Annotations, options: ReadOptions) -> Dataset:
    """Find frames, check and scale boxes; the order of the annotations is kept."""
    files = Files(root, options.frames, options.videos)
    findings = list(found.findings)
    items: list[Item] = []
    for entry in found.entries:
        media = _find_media(entry, files)
        canvas = _canvas(entry, media)
        suspicious = _box_findings(entry, canvas)
        findings.extend(suspicious)
        item = _item(entry, media, canvas, suspicious, files, options)
        if isinstance(item, Item):
            items.append(item)
        else:
            findings.append(item)
    return Dataset(
        name=name,
        root=root,
        items=tuple(items),
        num_items=found.num_entries if found.num_entries is not None else len(found.entries),
        num_boxes=sum(len(entry.boxes) for entry in found.entries),
        videos=found.videos,
        classes=Counter(entry.label for entry in found.entries),
        findings=tuple(findings),
        deviations=options.deviations(),
        told=found.told,
    )


@dataclass(frozen=True)
class _Found:
    """The media of one annotation: a stored frame or else a video, and the size of its frames."""

    image: Path | None = None
    video: Path | None = None
    size_wh: tuple[int, int] | None = None
    problem: str = ""


def _find_media(entry: Annotation, files: Files) -> _Found:
    image = files.frame(entry.media.frame)
    video = files.video(entry.media.video) if image is None else None
    if image is None and video is None:
        return _Found()
    try:
        size = image_size(image) if image is not None else video_size(video)
    except (InputError, OSError, Image.DecompressionBombError) as error:
        return _Found(image, video, problem=str(error))
    return _Found(image, video, size)


def _canvas(entry: Annotation, media: _Found) -> Size | None:
    """What the boxes' pixels refer to; None where only the missing frame could tell."""
    if entry.canvas_wh is not None or media.size_wh is None:
        return entry.canvas_wh
    return youcook_canvas(media.size_wh) if entry.capped else media.size_wh


def _item(
    entry: Annotation,
    media: _Found,
    canvas: Size | None,
    suspicious: list[Finding],
    files: Files,
    options: ReadOptions,
) -> Item | Finding:
    """The item, or the finding that says why there is none."""
    if not any(character.isalnum() for character in entry.narration):
        return Finding(entry.id, NO_NARRATION, dropped=True)
    if not entry.boxes:
        return Finding(entry.id, NO_BOX, dropped=True)
    if media.image is None and media.video is None:
        name = entry.media.frame or entry.media.video or ""
        return Finding(entry.id, NO_FRAME, dropped=True, detail=name)
    if media.size_wh is None or canvas is None:
        return Finding(entry.id, UNREADABLE_FRAME, dropped=True, detail=media.problem)
    unwanted = {finding.detail for finding in suspicious if finding.reason in options.drop}
    kept = [box for box in entry.boxes if _describe(box) not in unwanted]
    if not kept:
        return Finding(entry.id, NO_BOX, dropped=True, detail="every box left out for its reason")
    targets = tuple(_targets(kept, options.boxes or entry.target))
    window = _window(entry, files) if media.image is not None else ()
    return Item(
        id=entry.id,
        video=entry.video,
        narration=entry.narration,
        label=entry.label,
        boxes=tuple(_to_unit(box, canvas) for box in targets),
        size_wh=media.size_wh,
        style=entry.style,
        image=media.image,
        windowed=bool(entry.media.window),
        window=window,
        target=entry.media.target if window else 0,
        video_path=media.video,
        time=entry.media.time,
        step=entry.media.step,
        missing=options.missing or entry.media.missing,
        verb=entry.verb,
        object=entry.object,
        canvas_boxes=targets,
        canvas_wh=canvas,
    )


def _window(entry: Annotation, files: Files) -> tuple[Path, ...]:
    """The stored frames of the clip; empty where some are missing and the target stands alone.

    Whether such an item is dropped or its target frame repeated is decided where a video model
    needs the clip; image models never do.
    """
    paths = [
        files.frame(name) if index == entry.media.target else files.window_frame(name)
        for index, name in enumerate(entry.media.window)
    ]
    if all(path is not None for path in paths):
        return tuple(path for path in paths if path is not None)
    return ()


def _box_findings(entry: Annotation, canvas: Size | None) -> list[Finding]:
    findings = []
    for box in entry.boxes:
        for reason in box_reasons(box, canvas, swapped_limits=entry.swapped_limits):
            findings.append(Finding(entry.id, reason, detail=_describe(box)))
    return findings


def box_reasons(box: PixelBox, canvas: Size | None, *, swapped_limits: bool = False) -> list[str]:
    """What looks wrong with a pixel box; without a canvas only its own shape is looked at.

    "Clipped at a limit" is a right or bottom edge exactly on the canvas's far side; with
    ``swapped_limits`` also on the other side's limit (x at the height, y at the width).
    """
    x1, y1, x2, y2 = box
    reasons = []
    if x2 < x1 or y2 < y1:
        reasons.append(INVERTED)
    elif x2 == x1 or y2 == y1:
        reasons.append(ZERO_AREA)
    if canvas is not None:
        width, height = canvas
        if min(x1, x2) < 0 or min(y1, y2) < 0 or max(x1, x2) > width or max(y1, y2) > height:
            reasons.append(OUTSIDE)
        sides = {width, height} if swapped_limits else set()
        if x2 in {width} | sides or y2 in {height} | sides:
            reasons.append(CLIPPED)
    return reasons


def _describe(box: PixelBox) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"


def _targets(boxes: list[PixelBox], target: BoxTarget) -> list[PixelBox]:
    if target == "first":
        return boxes[:1]
    return [enclosing_box(boxes)] if target == "enclosing" else boxes


def _to_unit(box: PixelBox, canvas: Size) -> Box:
    width, height = canvas
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as shown, after the EXIF orientation; only the header is read."""
    with Image.open(path) as image:
        # Of TIFF Pillow tells the size after the turn, and no longer the turn itself once loaded.
        turned = image.format != "TIFF" and image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else (image.width, image.height)


@lru_cache(maxsize=4096)
def video_size(path: Path | None) -> tuple[int, int]:
    """Width and height of a video's frames."""
    from videogem.media.video import probe

    assert path is not None
    info = probe(path)
    return info.width, info.height
