"""DALY: keyframes with a person's box, in YouTube videos of ten everyday actions.

``daly1.1.0.pkl`` is a pickle of Python 2; boxes are relative to the frame. ``read_derived`` takes
the frame list of the VideoGEM authors instead.

Source: structure as several public readers open it; protocol of the VideoGEM repository: the first
box counts, and a sample whose neighbouring frames are missing is left out.
"""

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
from videogem.datasets.files import expect, find_file, load_json, pixel_box, read_entries
from videogem.datasets.pickles import load_pickle
from videogem.errors import InputError

UNIT = (1.0, 1.0)  # boxes are relative, the canvas is one by one
SUBSETS = ("test", "train", "all")


def read(root: Path, options: ReadOptions) -> Annotations:
    """Read the keyframes of the test videos, or of another subset.

    Frames are looked for as ``VIDEO/NUMBER.jpg`` with the published 1-based number, and else in the
    video at the published time.
    """
    subset = options.subset or "test"
    if subset not in SUBSETS:
        raise InputError(f"DALY has the subsets {', '.join(SUBSETS)}, got '{subset}'.")
    patterns = ("daly1.1.0.pkl", "daly*.pkl")
    path = find_file(root, patterns, "DALY annotations", options.annotations)
    content = load_pickle(path)
    expect(isinstance(content, dict) and {"annot", "splits"} <= content.keys(), path, "'annot'")
    assert isinstance(content, dict)
    test = set(content["splits"][0])
    videos = {
        video
        for video in content["annot"]
        if subset == "all" or (video in test) == (subset == "test")
    }
    entries: list[Annotation] = []
    findings: list[Finding] = []
    for video in sorted(videos):
        fps = content.get("metadata", {}).get(video, {}).get("fps")
        for label, instances in content["annot"][video]["annot"].items():
            for number, instance in enumerate(instances):
                for index, keyframe in enumerate(instance["keyframes"]):
                    where = f"{video}/{label}/{number}/{index}"
                    try:
                        entries.append(_keyframe(where, video, label, keyframe, fps))
                    except (KeyError, TypeError, ValueError, IndexError) as error:
                        findings.append(Finding(where, UNREADABLE, True, repr(error)))
    num_entries = len(entries) + len(findings)
    return Annotations(tuple(entries), tuple(findings), frozenset(videos), num_entries)


def _keyframe(
    where: str, video: str, label: str, keyframe: dict[str, Any], fps: float | None
) -> Annotation:
    time = float(keyframe["time"])
    stem = Path(video).stem
    # The authors stored every second frame; the window is eight of them round the keyframe.
    number = int(keyframe["frameNumber"])
    window = [f"{stem}/{number + 2 * offset}.jpg" for offset in range(-4, 4)]
    media = Media(
        window[4],
        tuple(window),
        4,
        video=video,
        time=time,
        step=2 / fps if fps else 0.08,
        missing="drop",
    )
    boxes = tuple(pixel_box(row) for row in keyframe["boundingBox"])
    return _annotation(where, stem, label, boxes, media)


def read_derived(root: Path, options: ReadOptions) -> Annotations:
    """Read the VideoGEM authors' ``frame_annotation.json`` for DALY."""
    patterns = ("frame_annotation.json", "*daly*frame_annotation.json")
    path = find_file(root, patterns, "authors' DALY frame list", options.annotations)
    content = load_json(path)
    expect(isinstance(content, dict), path, "an object of frames")
    return read_entries(content, _derived)


def _derived(key: str, frame: dict[str, Any]) -> Annotation:
    boxes = tuple(pixel_box(row) for row in frame["bbox"])
    return _annotation(key, str(frame["vid"]), str(frame["label"]), boxes, _derived_media(frame))


def _derived_media(frame: dict[str, Any]) -> Media:
    # The authors' code reverses the stored lists before use: the last four and the first three.
    base = str(frame["img_base_path"])
    base = base if base.endswith("/") or not base else f"{base}/"
    before, after = list(frame["framesBefore"]), list(frame["framesAfter"])
    stored = [f"{base}{number}.jpg" for number in [*before[-4:], *after[:3]]]
    window = [*stored[: len(before[-4:])], str(frame["img_path"]), *stored[len(before[-4:]) :]]
    return Media(str(frame["img_path"]), tuple(window), len(before[-4:]), missing="drop")


def _annotation(
    id_: str, video: str, label: str, boxes: tuple[PixelBox, ...], media: Media
) -> Annotation:
    return Annotation(
        id=id_,
        video=video,
        narration=label,
        label=label,
        boxes=boxes,
        media=media,
        style="camel",
        canvas_wh=UNIT,
        target="first",
    )


READERS = (
    Reader("daly", "DALY as published", read),
    Reader("daly-videogem", "the VideoGEM authors' frame list of DALY", read_derived),
)
