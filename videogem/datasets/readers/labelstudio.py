"""Label Studio exports (JSON): boxes people drew or corrected, with the narration of their task."""

import math
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from videogem.datasets.base import (
    LEFT_OUT,
    NO_BOX,
    UNREADABLE,
    Annotation,
    Annotations,
    Finding,
    Media,
    PixelBox,
    Reader,
    ReadOptions,
)
from videogem.datasets.files import expect, find_file, load_json

PATTERNS = ("export.json", "project-*.json", "*.json")
NARRATION_FIELDS = ("narration", "text", "caption", "sentence", "label", "action")
MEDIA_FIELDS = ("image", "frame", "img", "video")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")
BOX_TYPES = ("rectanglelabels", "rectangle")
PERCENT = (100.0, 100.0)  # Label Studio's boxes are percent of the frame


def read(root: Path, options: ReadOptions) -> Annotations:
    """Read an export: per task the ground-truth annotation, else the latest one that was kept.

    Media named by Label Studio's URLs are looked for below the root by the path after ``?d=``, and
    by their file name. Key frames of video boxes each become an item.
    """
    path = find_file(root, PATTERNS, "Label Studio export", options.annotations)
    content = load_json(path)
    expect(isinstance(content, list), path, "a list of tasks (export as JSON)")
    entries: list[Annotation] = []
    findings: list[Finding] = []
    videos: set[str] = set()
    for index, task in enumerate(content):
        try:
            found, task_findings = _read_task(task, root, options)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            findings.append(Finding(f"task[{index}]", UNREADABLE, True, repr(error)))
            continue
        entries.extend(found)
        findings.extend(task_findings)
        videos.update(entry.video for entry in found if entry.media.video is not None)
    num_entries = len(entries) + sum(finding.dropped for finding in findings)
    return Annotations(tuple(entries), tuple(findings), frozenset(videos), num_entries)


def _read_task(
    task: dict[str, Any], root: Path, options: ReadOptions
) -> tuple[list[Annotation], list[Finding]]:
    id_ = str(task["id"])
    annotation = best_annotation(task.get("annotations") or [])
    if annotation is None:
        return [], [Finding(id_, LEFT_OUT, dropped=True, detail="no submitted annotation")]
    data = task["data"]
    narration = narration_of(data, options.narration_field)
    boxes, video_boxes = _boxes(annotation.get("result") or [])
    if not boxes and not video_boxes:
        return [], [Finding(id_, NO_BOX, dropped=True)]
    name = media_name(data)
    stored = _stored(name, root)
    entries = []
    if boxes:
        labels = sorted({label for _, label in boxes if label})
        if PurePosixPath(stored).suffix.lower() in VIDEO_SUFFIXES:
            media = Media(video=stored, time=_number(data.get("time")))
        else:
            media = Media(frame=stored)
        corners = tuple(box for box, _ in boxes)
        entries.append(
            _annotation(id_, name, narration, labels[0] if labels else "", corners, media)
        )
    for number, (box, label, time) in enumerate(video_boxes):
        media = Media(video=stored, time=time)
        entries.append(_annotation(f"{id_}#{number}", name, narration, label, (box,), media))
    return entries, []


def best_annotation(annotations: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The ground truth if there is one, else the latest; skipped ones never."""
    kept = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    truth = [annotation for annotation in kept if annotation.get("ground_truth")]
    return max(
        truth or kept,
        key=lambda annotation: (
            str(annotation.get("updated_at") or annotation.get("created_at") or ""),
            annotation.get("id") or 0,
        ),
        default=None,
    )


def narration_of(data: dict[str, Any], field: str | None) -> str:
    """The task's narration: the field asked for, else the first usual name that holds text."""
    names = (field,) if field else NARRATION_FIELDS
    for name in names:
        if isinstance(data.get(name), str):
            return str(data[name])
    return ""


def media_name(data: dict[str, Any]) -> str:
    """The task's image or video, as its URL or path.

    Raises:
        KeyError: the task has none.
    """
    for name in MEDIA_FIELDS:
        if isinstance(data.get(name), str):
            return str(data[name])
    raise KeyError("none of " + ", ".join(MEDIA_FIELDS))


def _stored(name: str, root: Path) -> str:
    parts = urlsplit(name)
    query = parse_qs(parts.query).get("d")
    path = PurePosixPath(unquote(query[0] if query else parts.path)).as_posix().lstrip("/")
    candidates = [path, *("/".join(path.split("/")[cut:]) for cut in range(1, path.count("/") + 1))]
    return next((candidate for candidate in candidates if (root / candidate).is_file()), path)


def _boxes(
    result: list[dict[str, Any]],
) -> tuple[list[tuple[PixelBox, str]], list[tuple[PixelBox, str, float]]]:
    boxes: list[tuple[PixelBox, str]] = []
    video_boxes: list[tuple[PixelBox, str, float]] = []
    names: dict[str, str] = {}
    for region in result:  # the label of a plain rectangle may be a region of its own
        chosen = region.get("value", {}).get(region.get("type", ""), None)
        if isinstance(chosen, list) and chosen:
            names[str(region.get("id"))] = str(chosen[0])
    for region in result:
        value, kind = region.get("value", {}), region.get("type")
        aspect = float(region.get("original_width", 1)) / float(region.get("original_height", 1))
        label = names.get(str(region.get("id")), "")
        if kind in BOX_TYPES:
            boxes.append((_corners(value, aspect), label))
        elif kind == "videorectangle":
            label = str((value.get("labels") or [label])[0])
            for key in value.get("sequence", []):
                time = _number(key.get("time"))
                if key.get("enabled", True) and time is not None:
                    video_boxes.append((_corners(key, aspect), label, time))
    return boxes, video_boxes


def _corners(value: dict[str, Any], aspect: float) -> PixelBox:
    """Percent box round a region, which may be turned about its top left corner."""
    x, y = float(value["x"]), float(value["y"])
    width, height = float(value["width"]), float(value["height"])
    turn = math.radians(float(value.get("rotation") or 0.0))
    if turn == 0:
        return x, y, x + width, y + height
    # Percents of width and height differ in length by the frame's aspect.
    cos, sin = math.cos(turn), math.sin(turn)
    corners = [
        (x + dx * cos - dy * sin / aspect, y + dx * aspect * sin + dy * cos)
        for dx in (0.0, width)
        for dy in (0.0, height)
    ]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _annotation(
    id_: str, name: str, narration: str, label: str, boxes: tuple[PixelBox, ...], media: Media
) -> Annotation:
    return Annotation(
        id=id_,
        video=name,
        narration=narration,
        label=label or narration,
        boxes=boxes,
        media=media,
        canvas_wh=PERCENT,
    )


READERS = (Reader("labelstudio", "an export of Label Studio, as JSON", read),)
