"""The generic format: ``annotations.jsonl``, one object a line.

``{"image": path | "video": path, "time"?: seconds, "narration"?: text,
"boxes": [[x1, y1, x2, y2], ...] in pixels of the frame, "label"?: text, "id"?: text,
"video_id"?: text, "verb"?: text, "object"?: text,
"style"?: "auto" | "label" | "camel" | "narration"}``; paths are relative to the root. ``video_id``
names the video that an image is a frame of: such frames are alike, and intervals are over videos.
Without ``time`` a video is taken at its middle; without ``id`` an item is
named by its line number, counted from 1. With ``verb`` (and ``object``) these are the words that
are asked for, and the narration where there is none; otherwise they are looked for in the
narration, which ``style`` says how to read.
"""

import json
from pathlib import Path
from typing import Any, get_args

from videogem.datasets.base import (
    DUPLICATE,
    UNREADABLE,
    Annotation,
    Annotations,
    Finding,
    Media,
    Reader,
    ReadOptions,
)
from videogem.datasets.files import find_file, pixel_box
from videogem.structures import LabelStyle

PATTERNS = ("annotations.jsonl",)


def read(root: Path, options: ReadOptions) -> Annotations:
    """Read every line; a line that cannot be used becomes a finding that says why."""
    path = find_file(root, PATTERNS, "annotations.jsonl", options.annotations)
    entries: list[Annotation] = []
    findings: list[Finding] = []
    seen: set[str] = set()
    videos: set[str] = set()
    num_lines = 0
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            num_lines += 1
            try:
                line.encode()  # where it is not UTF-8, the line cannot be used
                entry = _entry(line, number)
            except (ValueError, RecursionError) as error:
                findings.append(Finding(f"line {number}", UNREADABLE, True, str(error)))
                continue
            if entry.id in seen:
                findings.append(Finding(entry.id, DUPLICATE, True, f"line {number}"))
                continue
            seen.add(entry.id)
            if entry.media.video is not None or entry.video != entry.media.frame:
                videos.add(entry.video)
            entries.append(entry)
    return Annotations(tuple(entries), tuple(findings), frozenset(videos), num_lines)


def _entry(line: str, number: int) -> Annotation:
    row: Any = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, got {type(row).__name__}")
    image, video = row.get("image"), row.get("video")
    if (image is None) == (video is None):
        raise ValueError("expected either 'image' or 'video'")
    media_name = image if video is None else video
    if not isinstance(media_name, str) or not media_name:
        raise ValueError(f"expected a path, got {media_name!r}")
    narration, label = row.get("narration", ""), row.get("label")
    texts = {"narration": narration, **{n: row.get(n) for n in ("verb", "object", "video_id")}}
    for name, text in texts.items():
        if not isinstance(text, str | None):
            raise ValueError(f"'{name}' must be text, got {text!r}")
    if not any(letter.isalnum() for letter in narration or ""):
        narration = " ".join(text for text in (texts["verb"], texts["object"]) if text)
    style = row.get("style", "auto")
    if style not in get_args(LabelStyle):
        raise ValueError(f"'style' must be one of {', '.join(get_args(LabelStyle))}, got {style!r}")
    boxes = row.get("boxes", [])
    if not isinstance(boxes, list):
        raise ValueError(f"'boxes' must be a list of boxes, got {boxes!r}")
    time = row.get("time")
    if time is not None and (isinstance(time, bool) or not isinstance(time, int | float)):
        raise ValueError(f"'time' must be seconds, got {time!r}")
    return Annotation(
        id=str(row.get("id", number)),
        video=texts["video_id"] or media_name,
        narration=narration,
        label=str(label) if label is not None else narration,
        boxes=tuple(pixel_box(box) for box in boxes),
        media=Media(
            frame=image,
            video=video,
            time=None if time is None else float(time),
        ),
        style=style,
        verb=texts["verb"] or None,
        object=texts["object"] or None,
    )


READERS = (Reader("jsonl", "annotations.jsonl, the generic format: one object a line", read),)
