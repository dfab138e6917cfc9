"""YouCook-Interactions: boxes at one frame a second in YouCook2 validation videos.

Boxes and segments are pickles, captions come from YouCook2's own file. For most videos the boxes
were drawn on frames capped to 640 x 360, so they are read on that canvas where a frame is larger
(``canvas='capped'``); ``filtered`` is the authors' hand-made list of exceptions, ``frame`` takes
boxes as pixels of the frame itself.

Source: files of the YouCook-Interactions release; protocol of the VideoGEM repository. The key
``second`` counts from 1: its frame lies at second - 1, as in the official loader.
"""

from pathlib import Path
from typing import Any

from videogem.datasets.base import (
    EMPTY_VIDEO,
    LEFT_OUT,
    UNREADABLE,
    Annotation,
    Annotations,
    Finding,
    Media,
    PixelBox,
    Reader,
    ReadOptions,
)
from videogem.datasets.files import expect, find_file, load_json, pixel_box, read_entries
from videogem.datasets.pickles import load_pickle

# The authors' hand-made exceptions (data.py of the VideoGEM repository).
IGNORED_VIDEOS = frozenset(
    [
        "2HsWZdKKBGg",
        "OpURFOTdycE",
        "btikV_DUoCM",
        "9ekEjxd-A_Y",
        "DrXVuj1Qowo",
        "HF49t8uVJOE",
        "FliMoBfG72Y",
    ]
)
UNCAPPED_VIDEOS = frozenset(
    [
        "WYAFPvlDB_A",
        "vU2lND4YQjM",
        "oJZUxU9szWA",
        "1vJp-jaIaeE",
        "4Y8vVGsv4JE",
        "FzhJGCaaYVs",
        "30Q8k57Kbz4",
    ]
)
ALWAYS_CAPPED_VIDEOS = frozenset({"Re46osq_NkI"})

NO_CAPTION = "no caption"


def read(root: Path, options: ReadOptions) -> Annotations:
    """Read the published boxes, each with the caption of its YouCook2 segment."""
    patterns = ("final_dataset_annotations.pkl", "*final_dataset_annotations.pkl")
    path = find_file(root, patterns, "YouCook-Interactions boxes", options.annotations)
    boxes = load_pickle(path)
    expect(isinstance(boxes, dict), path, "an object of videos")
    assert isinstance(boxes, dict)
    segments = _segments(root)
    captions = _captions(root)
    entries: list[Annotation] = []
    findings: list[Finding] = []
    for video, by_second in boxes.items():
        if not by_second:
            findings.append(Finding(video, EMPTY_VIDEO))
        for second, box in by_second.items():
            where = f"{video}@{second}"
            caption = _caption_at(captions.get(video, []), segments.get(video, []), second)
            try:
                corners = pixel_box(box)
            except ValueError as error:
                findings.append(Finding(where, UNREADABLE, dropped=True, detail=str(error)))
                continue
            if caption is None:
                findings.append(Finding(where, NO_CAPTION, dropped=True))
                continue
            entries.append(_annotation(where, video, int(second), caption, corners, options))
    num_entries = sum(len(by_second) for by_second in boxes.values())
    return _left_out(
        Annotations(tuple(entries), tuple(findings), frozenset(boxes), num_entries), options
    )


def _segments(root: Path) -> dict[str, list[tuple[float, float]]]:
    patterns = ("final_dataset_segments.pkl", "*final_dataset_segments.pkl")
    path = find_file(root, patterns, "YouCook-Interactions segments")
    content = load_pickle(path)
    expect(isinstance(content, set | list), path, "a set of (video, start, end)")
    assert isinstance(content, set | list)
    by_video: dict[str, list[tuple[float, float]]] = {}
    for video, start, end in content:
        by_video.setdefault(str(video), []).append((float(start), float(end)))
    return {video: sorted(spans) for video, spans in by_video.items()}


def _captions(root: Path) -> dict[str, list[tuple[float, float, str]]]:
    patterns = ("youcookii_annotations_trainval.json", "*annotations_trainval.json")
    path = find_file(root, patterns, "YouCook2 captions")
    content = load_json(path)
    expect(isinstance(content, dict) and "database" in content, path, "'database'")
    by_video: dict[str, list[tuple[float, float, str]]] = {}
    for video, entry in content["database"].items():
        rows = [(*map(float, row["segment"]), row["sentence"]) for row in entry["annotations"]]
        by_video[video] = sorted(rows)
    return by_video


def _caption_at(
    captions: list[tuple[float, float, str]], spans: list[tuple[float, float]], second: float | int
) -> str | None:
    """Caption of the segment that holds a second: first by the released segments, whose start
    names the caption, then by YouCook2's own."""
    for start, end in _holding(spans, second):
        for caption_start, _, sentence in captions:
            if caption_start == start and end >= start:
                return sentence
    holding = _holding([(start, end) for start, end, _ in captions], second)
    for span in holding:
        return next(sentence for start, end, sentence in captions if (start, end) == span)
    return None


def _holding(spans: list[tuple[float, float]], second: float | int) -> list[tuple[float, float]]:
    # Half-open first: where one step ends and the next starts, the second belongs to the next.
    inside = [span for span in spans if span[0] <= second < span[1]]
    return inside or [span for span in spans if second == span[1]]


def read_derived(root: Path, options: ReadOptions) -> Annotations:
    """Read the VideoGEM authors' ``frame_annotation.json`` for YouCook-Interactions."""
    patterns = ("frame_annotation.json", "*youcook*frame_annotation.json")
    path = find_file(root, patterns, "authors' YouCook frame list", options.annotations)
    content = load_json(path)
    expect(isinstance(content, dict), path, "an object of frames")
    found = read_entries(content, lambda key, frame: _derived(key, frame, options))
    return _left_out(found, options)


def _derived(key: str, frame: dict[str, Any], options: ReadOptions) -> Annotation:
    return _annotation(
        key,
        str(frame["vid"]),
        int(frame["frame"]),
        str(frame["caption"]),
        pixel_box(frame["bbox"]),
        options,
        stored=str(frame["image_path"]),
    )


def _annotation(
    where: str,
    video: str,
    key_second: int,
    caption: str,
    box: PixelBox,
    options: ReadOptions,
    *,
    stored: str | None = None,
) -> Annotation:
    second = key_second - 1
    window = [f"{video}/{second + offset * 0.25}.jpg" for offset in range(-4, 4)]
    window[4] = stored or f"{video}/{second}.jpg"
    return Annotation(
        id=where,
        video=video,
        narration=caption,
        label=caption,
        boxes=(box,),
        media=Media(window[4], tuple(window), 4, video=video, time=float(second)),
        style="narration",
        canvas_wh=(640.0, 360.0) if _always_capped(video, options) else None,
        capped=_capped(video, options),
    )


def _always_capped(video: str, options: ReadOptions) -> bool:
    return options.canvas == "filtered" and video in ALWAYS_CAPPED_VIDEOS


def _capped(video: str, options: ReadOptions) -> bool:
    if options.canvas == "filtered":
        return video not in UNCAPPED_VIDEOS
    return options.canvas == "capped"


def _left_out(found: Annotations, options: ReadOptions) -> Annotations:
    """Without the videos the authors' filtered list ignores."""
    if options.canvas != "filtered":
        return found
    kept = tuple(entry for entry in found.entries if entry.video not in IGNORED_VIDEOS)
    gone = [
        Finding(entry.id, LEFT_OUT, dropped=True)
        for entry in found.entries
        if entry.video in IGNORED_VIDEOS
    ]
    return Annotations(kept, (*found.findings, *gone), found.videos, found.num_entries)


READERS = (
    Reader(
        "youcook",
        "YouCook-Interactions as published",
        read,
        ("youcookinteractions", "youcook2interactions", "yc2i"),
    ),
    Reader(
        "youcook-videogem", "the VideoGEM authors' frame list of YouCook-Interactions", read_derived
    ),
)
