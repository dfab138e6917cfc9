"""Label Studio exports (JSON): what people drew or corrected, with the narration of their task."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from videogem.datasets.exports import (
    UNSURE_FRAME,
    Fields,
    choose_fields,
    is_video,
    path_of,
    tasks_of,
)
from videogem.datasets.files import find_file, load_json
from videogem.datasets.places import outline_of

PATTERNS = ("export.json", "project-*.json", "*.json")
PERCENT = (100.0, 100.0)  # Label Studio's boxes are percent of the frame


def read(root: Path, options: ReadOptions) -> Annotations:
    """Read an export: per task the ground-truth annotation, else the latest one that was kept.

    Rectangles, ellipses, polygons and masks count as the box round them. Media named by Label
    Studio's URLs are looked for below the root by the path after ``?d=``, and by their file name.
    Each frame of a list is an item, and each key frame of a video's boxes.

    Raises:
        InputError: no such file, no tasks in it, or several fields that may hold what is asked.
    """
    path = find_file(root, PATTERNS, "Label Studio export", options.annotations)
    tasks = tasks_of(load_json(path), path)
    datas = [task.get("data") for task in tasks if isinstance(task, Mapping)]
    fields = choose_fields(
        [data for data in datas if isinstance(data, Mapping)],
        media=options.media_field,
        narration=options.narration_field,
    )
    entries: list[Annotation] = []
    findings: list[Finding] = []
    videos: set[str] = set()
    for index, task in enumerate(tasks):
        try:
            found, task_findings = _read_task(task, root, fields)
        except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
            findings.append(Finding(f"task[{index}]", UNREADABLE, True, repr(error)))
            continue
        entries.extend(found)
        findings.extend(task_findings)
        videos.update(entry.video for entry in found if entry.media.video is not None)
    num_entries = len(entries) + sum(finding.dropped for finding in findings)
    return Annotations(tuple(entries), tuple(findings), frozenset(videos), num_entries, fields.told)


def _read_task(
    task: dict[str, Any], root: Path, fields: Fields
) -> tuple[list[Annotation], list[Finding]]:
    id_ = str(task["id"])
    annotation = best_annotation(task.get("annotations") or [])
    if annotation is None:
        return [], [Finding(id_, LEFT_OUT, dropped=True, detail="no submitted annotation")]
    data = task["data"]
    frames = _frames(annotation.get("result") or [])
    if not frames:
        return [], [Finding(id_, NO_BOX, dropped=True)]
    media = fields.media_of(data)
    if isinstance(media, list):
        if task.get("frames_unsure") and len(media) > 1:
            return [], [Finding(id_, UNREADABLE, dropped=True, detail=UNSURE_FRAME)]
        return _read_list(id_, media, frames, data, root, fields)
    narration = fields.narration_of(data)
    stored = stored_path(media, root)
    entries = []
    still = [place for frame in frames.values() for place in frame.boxes]
    if still:
        where = Media(frame=stored)
        if is_video(media):
            where = Media(video=stored, time=_number(data.get("time")))
        entries.append(_annotation(id_, media, narration, still, where))
    keys = [key for frame in frames.values() for key in frame.keys]
    for number, (box, label, time) in enumerate(keys):
        where = Media(video=stored, time=time)
        entries.append(_annotation(f"{id_}#{number}", media, narration, [(box, label)], where))
    return entries, []


def _read_list(
    id_: str,
    media: list[str],
    frames: "Mapping[int, _Frame]",
    data: Mapping[str, Any],
    root: Path,
    fields: Fields,
) -> tuple[list[Annotation], list[Finding]]:
    """Items of the frames that have boxes, told apart by their place in the list.

    The list is the clip, as where predictions are made.
    """
    entries, findings = [], []
    window = tuple(stored_path(address, root) for address in media)
    for index, frame in sorted(frames.items()):
        name = f"{id_}#{index}"
        if not 0 <= index < len(media):
            detail = f"a box on frame {index} of a list of {len(media)}"
            findings.append(Finding(name, UNREADABLE, dropped=True, detail=detail))
            continue
        neighbours = window if len(window) > 1 else ()
        where = Media(frame=window[index], window=neighbours, target=index if neighbours else 0)
        narration = fields.narration_of(data, index)
        entries.append(_annotation(name, media[0], narration, frame.boxes, where))
    return entries, findings


def best_annotation(annotations: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The ground truth if there is one, else the latest; skipped ones never."""
    kept = [
        annotation
        for annotation in annotations
        if not annotation.get("was_cancelled") and not annotation.get("skipped")
    ]
    truth = [annotation for annotation in kept if annotation.get("ground_truth")]
    return max(
        truth or kept,
        key=lambda annotation: (
            str(annotation.get("updated_at") or annotation.get("created_at") or ""),
            annotation.get("id") or 0,
        ),
        default=None,
    )


def stored_path(address: str, root: Path) -> str:
    """Where below the root a file of this address lies; its path where it is nowhere."""
    path = path_of(address).as_posix().lstrip("/")
    candidates = [path, *("/".join(path.split("/")[cut:]) for cut in range(1, path.count("/") + 1))]
    return next((candidate for candidate in candidates if _is_file(root / candidate)), path)


@dataclass
class _Frame:
    """What was drawn on an image, or on one frame of a list; boxes with their labels."""

    boxes: list[tuple[PixelBox, str]] = field(default_factory=list)
    keys: list[tuple[PixelBox, str, float]] = field(default_factory=list)  # of tracks, seconds


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no folder takes, such as one without end
        return False


def _frames(result: Sequence[Mapping[str, Any]]) -> dict[int, _Frame]:
    """The boxes of each frame; those of images and videos are all of frame 0."""
    names: dict[str, str] = {}
    for region in result:  # the label of a plain rectangle may be a region of its own
        chosen = region.get("value", {}).get(region.get("type", ""), None)
        if isinstance(chosen, list) and chosen:
            names.setdefault(str(region.get("id")), str(chosen[0]))
    frames: defaultdict[int, _Frame] = defaultdict(_Frame)
    for region in result:
        value, kind = region.get("value", {}), str(region.get("type") or "")
        size = (
            float(region.get("original_width") or 1),
            float(region.get("original_height") or 1),
        )
        chosen = value.get(kind) or value.get("labels") or [names.get(str(region.get("id")), "")]
        label = str(chosen[0])
        index = int(region.get("item_index") or 0)
        if kind == "videorectangle":
            for key in value.get("sequence", []):
                time = _number(key.get("time"))
                if key.get("enabled", True) and time is not None:
                    box = _box(outline_of("rectangle", key, size))
                    frames[index].keys.append((box, label, time))
        elif outline := outline_of(kind, value, size):
            frames[index].boxes.append((_box(outline), label))
    return dict(frames)


def _box(outline: Sequence[tuple[float, float]]) -> PixelBox:
    """Percent box round an outline.

    Raises:
        ValueError: nothing that could be read.
    """
    xs, ys = [100 * x for x, _ in outline], [100 * y for _, y in outline]
    return min(xs), min(ys), max(xs), max(ys)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _annotation(
    id_: str, name: str, narration: str, boxes: Sequence[tuple[PixelBox, str]], media: Media
) -> Annotation:
    labels = sorted({label for _, label in boxes if label})
    return Annotation(
        id=id_,
        video=name,
        narration=narration,
        label=labels[0] if labels else narration,
        boxes=tuple(box for box, _ in boxes),
        media=media,
        canvas_wh=PERCENT,
    )


READERS = (Reader("labelstudio", "an export of Label Studio, as JSON", read),)
