"""Label Studio's exports: all JSON forms, fields of any name, shapes of any kind."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.labeling.masks import bitmask_url, brush_rle
from videogem.datasets.base import Dataset, ReadOptions
from videogem.datasets.exports import choose_fields
from videogem.datasets.media import load_clip
from videogem.datasets.places import outline_of
from videogem.datasets.registry import read_dataset
from videogem.errors import InputError

SAMPLES = Path(__file__).parents[2] / "data/exports"
BOX = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0, "rotation": 0}


def region(type_: str, value: dict, **more) -> dict:
    size = {"original_width": 200, "original_height": 100}
    return {"id": "r", "from_name": "c", "type": type_, "value": value, **size, **more}


def read(root: Path, content, **options) -> Dataset:
    """The dataset of an export beside two pictures."""
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (200, 100)).save(root / name)
    (root / "export.json").write_text(json.dumps(content))
    return read_dataset("labelstudio", root, ReadOptions(**options))


def one_task(data: dict, *regions: dict, **more) -> dict:
    return {"id": 1, "data": data, "annotations": [{"id": 5, "result": list(regions)}], **more}


def test_the_frames_of_a_list_are_items_with_their_own_boxes(tmp_path):
    shutil.copytree(SAMPLES / "list", tmp_path / "list")
    dataset = read_dataset("labelstudio", tmp_path / "list")
    assert [item.id for item in dataset.items] == ["1#0", "1#1"]
    assert [item.image.name for item in dataset.items] == ["a.jpg", "b.jpg"]
    assert dataset.items[0].boxes[0] == pytest.approx((0.473, 0.487, 0.781, 0.737))
    assert dataset.items[1].boxes[0] == pytest.approx((0.1, 0.487, 0.408, 0.737))
    assert {item.narration for item in dataset.items} == {"cook the dumplings"}
    assert len({item.video for item in dataset.items}) == 1  # they are frames of one clip
    clip = load_clip(dataset.items[1], num_frames=2)
    assert len(clip.frames) == 2
    assert dataset.findings == ()


def test_json_min_is_read(tmp_path):
    shutil.copytree(SAMPLES / "min", tmp_path / "min")
    (item,) = read_dataset("labelstudio", tmp_path / "min").items
    assert (item.id, item.image.name, item.narration) == ("1", "a.jpg", "cook the dumplings")
    assert item.label == "action"
    assert item.boxes[0] == pytest.approx((0.473, 0.487, 0.781, 0.737))


def test_of_several_json_min_entries_of_a_task_the_latest_counts(tmp_path):
    size = {"original_width": 200, "original_height": 100}
    entries = [
        {"id": 1, "image": "a.jpg", "text": "cut it", "annotation_id": number, "annotator": 1,
         "updated_at": f"2026-01-0{number}", "choice": "cut", "lead_time": 1.0,
         "c": [{**BOX, "x": 10.0 * number, **size}]}
        for number in (2, 1)
    ]  # fmt: skip
    (item,) = read(tmp_path, entries).items
    assert item.boxes[0] == pytest.approx((0.2, 0.2, 0.5, 0.6))


def test_json_min_of_a_list_says_what_to_export_instead(tmp_path):
    size = {"original_width": 200, "original_height": 100}
    entry = {"id": 1, "images": ["a.jpg", "b.jpg"], "text": "cut it", "annotation_id": 1,
             "c": [{**BOX, "rectanglelabels": ["action"], **size}]}  # fmt: skip
    dataset = read(tmp_path, [entry])
    assert not dataset.items
    assert "export as JSON" in dataset.findings[0].detail


def test_completions_of_old_exports_are_annotations(tmp_path):
    task = {
        "id": 1,
        "data": {"image": "a.jpg", "narration": "cut it"},
        "completions": [
            {"id": 1, "created_at": 1590000000, "result": [region("rectanglelabels", BOX)]},
            {"id": 2, "created_at": 1600000000, "skipped": True, "result": []},
        ],
    }
    (item,) = read(tmp_path, [task]).items
    assert item.boxes[0] == pytest.approx((0.1, 0.2, 0.4, 0.6))


def test_fields_may_have_any_name_and_what_was_taken_is_told(tmp_path):
    task = one_task(
        {"shots": [{"url": "/data/upload/1/a.jpg", "n": "1"}], "spoken": "cut the tomato",
         "source_id": "kitchen_7"},
        region("rectanglelabels", BOX),
    )  # fmt: skip
    dataset = read(tmp_path, [task])
    assert dataset.items[0].narration == "cut the tomato"
    assert dataset.items[0].image.name == "a.jpg"
    assert dataset.notes == [
        "the media is the tasks' field 'shots'",
        "the narration is the tasks' field 'spoken'",
    ]


def test_fields_that_may_both_be_meant_are_asked_about(tmp_path):
    data = {"left": "a.jpg", "right": "b.jpg", "said": "cut it", "done": "stir it"}
    task = one_task(data, region("rectangle", BOX))
    with pytest.raises(InputError, match=r"left, right.*--media-field"):
        read(tmp_path, [task])
    with pytest.raises(InputError, match=r"done, said.*--narration-field"):
        read(tmp_path, [task], media_field="right")
    (item,) = read(tmp_path, [task], media_field="right", narration_field="said").items
    assert (item.image.name, item.narration) == ("b.jpg", "cut it")


def test_a_list_of_sentences_gives_each_frame_its_own(tmp_path):
    task = one_task(
        {"images": ["a.jpg", "b.jpg"], "narration": ["cut it", "stir it"]},
        region("rectangle", BOX, item_index=1),
    )
    (item,) = read(tmp_path, [task]).items
    assert (item.id, item.narration) == ("1#1", "stir it")


def test_a_box_beyond_the_list_is_a_finding(tmp_path):
    task = one_task({"images": ["a.jpg"], "text": "cut it"}, region("rectangle", BOX, item_index=3))
    dataset = read(tmp_path, [task])
    assert not dataset.items
    assert "frame 3 of a list of 1" in dataset.findings[0].detail


def test_no_tasks_are_said_to_be_none(tmp_path):
    with pytest.raises(InputError, match="got a COCO file; export the project as JSON"):
        read(tmp_path, {"images": [], "annotations": [], "categories": []})


def drawn_mask() -> np.ndarray:
    mask = np.zeros((100, 200), bool)
    mask[20:60, 40:120] = True
    return mask


SHAPES = {  # of 200 x 100 pixels
    "ellipse": ({"x": 50, "y": 50, "radiusX": 10, "radiusY": 40}, (0.4, 0.1, 0.6, 0.9)),
    "turned ellipse": (
        # Half axes of 20 and 40 px, a quarter turn: 40 px across and 20 px down.
        {"x": 50, "y": 50, "radiusX": 10, "radiusY": 40, "rotation": 90},
        (0.3, 0.3, 0.7, 0.7),
    ),
    "polygon": ({"points": [[10, 10], [90, 30], [30, 80]]}, (0.1, 0.1, 0.9, 0.8)),
    "brush": ({"format": "rle", "rle": brush_rle(drawn_mask())}, (0.2, 0.2, 0.6, 0.6)),
    "bitmask": ({"imageDataURL": bitmask_url(drawn_mask())}, (0.2, 0.2, 0.6, 0.6)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("labels", ["", "labels"])
def test_every_shape_is_a_region_of_the_action(tmp_path, name, labels):
    value, expected = SHAPES[name]
    type_ = name.split()[-1] + labels
    named = {**value, type_: ["action"]} if labels else value
    (item,) = read(
        tmp_path, [one_task({"image": "a.jpg", "text": "x"}, region(type_, named))]
    ).items
    assert item.boxes[0] == pytest.approx(expected, abs=1e-4)
    assert item.label == ("action" if labels else "x")


def test_turned_boxes_are_enclosed():
    value = {"x": 50.0, "y": 20.0, "width": 10.0, "height": 20.0}
    # 20 x 20 px at (100, 20) of 200 x 100, a quarter turn about the top left corner.
    assert bounds("rectangle", {**value, "rotation": 90}) == pytest.approx((0.4, 0.2, 0.5, 0.4))
    assert bounds("rectangle", value) == pytest.approx((0.5, 0.2, 0.6, 0.4))
    x1, y1, x2, y2 = bounds("rectangle", {**value, "rotation": 45})
    side = 20 * math.sqrt(2)
    assert ((x2 - x1) * 200, (y2 - y1) * 100) == pytest.approx((side, side))


def bounds(type_: str, value: dict) -> tuple[float, float, float, float]:
    xs, ys = zip(*outline_of(type_, value, (200.0, 100.0)), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("ellipse", {"x": 50, "y": 50, "radiusX": "10", "radiusY": 40}),
        ("polygon", {"points": [[10, 10], [90, 30]]}),
        ("polygon", {"points": [[10, 10], [90, float("nan")], [1, 1]]}),
        ("polygon", {"points": "no"}),
        ("brush", {"rle": [1, 2, 3]}),
        ("keypointlabels", {"x": 1, "y": 1}),
    ],
)
def test_what_cannot_be_read_has_no_outline(type_, value):
    assert outline_of(type_, value, (200.0, 100.0)) == ()


def test_addresses_and_ids_are_no_narration():
    data = {"pic": "s3://b/a.png", "page": "https://x.org/a b", "key": "k 7 9", "say": "cut it"}
    fields = choose_fields([data, {"pic": "http://[bad/a b.jpg"}])
    assert (fields.media[0], fields.narration[0]) == ("pic", "say")
