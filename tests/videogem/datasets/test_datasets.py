"""Exports of Label Studio, names of datasets, their folders and boxes."""

import json

import pytest

from tests.videogem.datasets.annotations import picture
from videogem.datasets.base import ReadOptions
from videogem.datasets.registry import canonical_name, read_dataset
from videogem.datasets.resolve import box_reasons
from videogem.errors import InputError


def region(kind: str, value: dict, id_: str = "r") -> dict:
    return {"id": id_, "type": kind, "value": value, "original_width": 200, "original_height": 100}


def test_label_studio_export(tmp_path):
    picture(tmp_path / "sub/frame.jpg", (200, 100))
    box = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0, "rotation": 0}
    tasks = [
        {
            "id": 7,
            "data": {
                "image": "/data/local-files/?d=demo/sub/frame.jpg",
                "narration": "cut the tomato",
            },
            "annotations": [
                {
                    "id": 1,
                    "updated_at": "2025-02-01",
                    "result": [region("rectanglelabels", {**box, "rectanglelabels": ["wrong"]})],
                },
                {
                    "id": 2,
                    "updated_at": "2025-01-01",
                    "ground_truth": True,
                    "result": [
                        region("rectanglelabels", {**box, "rectanglelabels": ["action"]}),
                        region("keypointlabels", {"x": 1, "y": 1, "keypointlabels": ["action"]}),
                    ],
                },
            ],
        },
        {"id": 8, "data": {"image": "x.jpg", "text": "stir"}, "annotations": []},
        {
            "id": 9,
            "data": {"image": "x.jpg", "text": "stir"},
            "annotations": [{"id": 3, "result": [], "was_cancelled": False}],
        },
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    dataset = read_dataset("label-studio", tmp_path)
    (item,) = dataset.items
    assert item.boxes[0] == pytest.approx((0.1, 0.2, 0.4, 0.6))
    assert (item.narration, item.label) == ("cut the tomato", "action")
    assert dataset.reasons(dropped=True) == {"left out by the protocol": 1, "no box": 1}
    assert dataset.summary()["items"] == 3


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("V-HICO", "vhico"),
        ("YouCook-Interactions", "youcook"),
        ("GroundingYouTube", "groundingyoutube"),
    ],
)
def test_names_in_usual_spellings(spelling, name):
    assert canonical_name(spelling) == name


def test_unknown_names_and_bad_roots_say_what_to_do(tmp_path):
    with pytest.raises(InputError, match="choose one of demo, daly"):
        canonical_name("imagenet")
    with pytest.raises(InputError, match="--root DIR"):
        read_dataset("jsonl", None)
    with pytest.raises(InputError, match="does not exist"):
        read_dataset("jsonl", tmp_path / "gone")
    with pytest.raises(InputError, match=r"annotations\.jsonl"):
        read_dataset("jsonl", tmp_path)
    picture(tmp_path / "file.png")
    with pytest.raises(InputError, match="takes its folder"):
        read_dataset("jsonl", tmp_path / "file.png")
    (tmp_path / "box_anno.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="published structure"):
        read_dataset("groundingyoutube", tmp_path)
    for name in ("a_box_anno.json", "b_box_anno.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "box_anno.json").unlink()
    with pytest.raises(InputError, match="--annotations"):
        read_dataset("groundingyoutube", tmp_path)


@pytest.mark.parametrize(
    ("box", "reasons"),
    [
        ((1, 1, 5, 5), []),
        ((5, 1, 5, 5), ["zero area"]),
        ((5, 1, 1, 5), ["inverted box"]),
        ((-1, 1, 5, 5), ["outside the canvas"]),
        ((1, 1, 641, 5), ["outside the canvas"]),
        ((1, 1, 640, 5), ["clipped at a limit"]),
        ((1, 1, 480, 5), []),
        ((1, 1, 480, 481), ["outside the canvas"]),
    ],
)
def test_box_reasons(box, reasons):
    assert box_reasons(tuple(map(float, box)), (640.0, 480.0)) == reasons


def test_swapped_limits_are_seen_where_they_are_known():
    box, canvas = (1.0, 1.0, 480.0, 481.0), (640.0, 480.0)
    found = box_reasons(box, canvas, swapped_limits=True)
    assert found == ["outside the canvas", "clipped at a limit"]


def test_read_options_default_to_the_protocol():
    assert ReadOptions() == ReadOptions(boxes=None, canvas="capped", fix_clip=False)
