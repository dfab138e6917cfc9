"""V-HICO: boxes of people and objects on sampled frames.

``gt_bbox_test.json`` and ``gt_bbox_unseen.json`` are pickles in spite of their names.

Source: structure as two independent public readers open it; protocol of the VideoGEM repository:
the target is the box enclosing all people and objects, the clip is frames f-16 .. f+12 in steps of
4, and where one of them is missing the target frame is repeated.
"""

from pathlib import Path, PurePosixPath

from videogem.datasets.base import (
    UNREADABLE,
    Annotation,
    Annotations,
    Finding,
    Media,
    Reader,
    ReadOptions,
)
from videogem.datasets.files import expect, find_file, pixel_box
from videogem.datasets.pickles import load_pickle
from videogem.errors import InputError

SUBSETS = ("test", "unseen")


def read(root: Path, options: ReadOptions) -> Annotations:
    """Read one subset, ``test`` unless the options say ``unseen``."""
    subset = options.subset or "test"
    if subset not in SUBSETS:
        raise InputError(f"V-HICO has the subsets {' and '.join(SUBSETS)}, got '{subset}'.")
    patterns = (f"gt_bbox_{subset}.json", f"*gt_bbox_{subset}.json")
    path = find_file(root, patterns, f"V-HICO {subset} annotations", options.annotations)
    content = load_pickle(path)
    expect(isinstance(content, dict) and isinstance(content.get("annos"), dict), path, "'annos'")
    assert isinstance(content, dict)
    entries: list[Annotation] = []
    findings: list[Finding] = []
    videos: set[str] = set()
    for name, by_video in content["annos"].items():
        for video, frames in by_video.items():
            videos.add(f"{name}/{video}")
            for index, frame in enumerate(frames):
                try:
                    entries.append(_annotation(name, video, frame))
                except (KeyError, TypeError, ValueError, IndexError) as error:
                    where = f"{name}/{video}[{index}]"
                    findings.append(Finding(where, UNREADABLE, dropped=True, detail=repr(error)))
    num_entries = len(entries) + len(findings)
    return Annotations(tuple(entries), tuple(findings), frozenset(videos), num_entries)


def _annotation(name: str, video: str, frame: dict[str, object]) -> Annotation:
    path = PurePosixPath(str(frame["path"]))
    number = int(path.stem)
    boxes = [pixel_box(box) for key in ("object", "human") for box in _rows(frame[key])]
    window = [
        str(path.with_name(f"{number + offset}{path.suffix}")) for offset in range(-16, 16, 4)
    ]
    window[4] = str(path)
    label = str(frame["label"])
    width, height = float(str(frame["width"])), float(str(frame["height"]))
    return Annotation(
        id=str(path.with_suffix("")),
        video=f"{name}/{video}",
        narration=label,
        label=name,
        boxes=tuple(boxes),
        media=Media(str(path), tuple(window), 4, missing="repeat"),
        style="label",
        canvas_wh=(width, height),
        target="enclosing",
    )


def _rows(boxes: object) -> list[object]:
    return list(boxes) if boxes is not None else []  # type: ignore[call-overload]  # list or array


READERS = (Reader("vhico", "V-HICO as published", read),)
