"""GroundingYouTube: boxes at one frame a second, on videos resized to 640 x 480.

The released boxes have the limits of width and height swapped in clipping: many end exactly at
x = 480, and some reach below y = 480. They are kept as they are; ``fix_clip`` brings y back to the
canvas, and what was lost in x cannot be restored.

Source: brian7685/STG, docs/annotations; frame names as the VideoGEM repository opens them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from videogem.datasets.base import (
    UNREADABLE,
    Annotation,
    Annotations,
    Finding,
    Media,
    PixelBox,
    Reader,
    ReadOptions,
)
from videogem.datasets.files import expect, find_file, load_json, pixel_box

CANVAS_WH = (640.0, 480.0)
PATTERNS = ("box_anno.json", "GoundingYouTubeBox.json", "*box_anno*.json")


def read(root: Path, options: ReadOptions) -> Annotations:
    """Read ``box_anno.json``, or the older form keyed by second.

    The reference opens the frame named second - 1 as the target but its neighbours at
    second +- 0.25 s, one second apart. ``second_offset`` (-1 by default) says which stored frame is
    the target; from a video the target is at ``second`` itself unless the option is given.
    """
    path = find_file(root, PATTERNS, "GroundingYouTube box file", options.annotations)
    content = load_json(path)
    expect(isinstance(content, dict), path, "an object of videos")
    entries: list[Annotation] = []
    findings: list[Finding] = []
    for video, frames in content.items():
        for index, frame in enumerate(_rows(frames)):
            where = f"{video}[{index}]"
            try:
                second, box = int(frame["second"]), pixel_box(frame["box"])
                step_name = str(frame.get("step_name", frame.get("step", ""))).replace("_", " ")
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                findings.append(Finding(where, UNREADABLE, dropped=True, detail=str(error)))
                continue
            entries.append(_annotation(video, second, index, step_name, box, options))
    if options.fix_clip:
        entries = [replace(entry, boxes=_fix(entry.boxes)) for entry in entries]
    return Annotations(
        tuple(entries), tuple(findings), frozenset(content), len(entries) + len(findings)
    )


def _rows(frames: object) -> list[dict[str, Any]]:
    if isinstance(frames, dict):  # older form: {"76": {"box": ..., "step": ...}}
        return [{"second": second, **value} for second, value in frames.items()]
    return list(frames) if isinstance(frames, list) else []


def _annotation(
    video: str, second: int, index: int, step: str, box: PixelBox, options: ReadOptions
) -> Annotation:
    stored = -1 if options.second_offset is None else options.second_offset
    filmed = 0 if options.second_offset is None else options.second_offset
    target = f"{video}/{second + stored}.jpg"
    window = [f"{video}/{second + offset * 0.25}.jpg" for offset in range(-4, 4)]
    window[4] = target
    media = Media(
        target, tuple(window), 4, video=video, time=float(second + filmed), missing="drop"
    )
    return Annotation(
        id=f"{video}@{second}#{index}",
        video=video,
        narration=step,
        label=step,
        boxes=(box,),
        media=media,
        style="label",
        canvas_wh=CANVAS_WH,
        swapped_limits=True,
    )


def _fix(boxes: tuple[PixelBox, ...]) -> tuple[PixelBox, ...]:
    height = CANVAS_WH[1]
    return tuple((x1, min(y1, height), x2, min(y2, height)) for x1, y1, x2, y2 in boxes)


READERS = (Reader("groundingyoutube", "GroundingYouTube as published", read, ("gyt",)),)
