import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videogem.datasets import base, pickles
from videogem.datasets.base import ReadOptions
from videogem.datasets.media import load_clip
from videogem.datasets.registry import canonical_name, read_dataset
from videogem.datasets.resolve import box_reasons, image_size
from videogem.errors import InputError

SAMPLES = Path(__file__).parents[2] / "data/annotations"


def picture(path: Path, size=(640, 480), color=(9, 99, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def root_with(tmp_path: Path, *names: str) -> Path:
    for name in names:
        shutil.copy(SAMPLES / name, tmp_path / name)
    return tmp_path


def write_jsonl(root: Path, *rows: dict | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (root / "annotations.jsonl").write_text("\n".join(lines) + "\n")
    return root


# --- restricted pickles --------------------------------------------------------------------------


RAN: list[str] = []


class Malicious:
    def __reduce__(self):
        return RAN.append, ("yes",)


class Shell:
    def __reduce__(self):
        return os.system, ("exit 0",)


class Allocates:
    def __reduce__(self):
        return np.ndarray, ((10**9,),)


class HugeReconstruct:
    def __reduce__(self):
        return np._core.multiarray._reconstruct, (np.ndarray, (10**9,), b"b")


@pytest.mark.parametrize(
    "payload", [Malicious(), Shell(), Allocates(), HugeReconstruct(), {"a": eval}]
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_that_call_anything_are_refused(tmp_path, payload, protocol):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(payload, protocol=protocol))
    with pytest.raises(InputError, match=r"x\.pkl"):
        pickles.load_pickle(path)
    assert RAN == []


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_values_and_arrays_come_back(tmp_path, protocol):
    value = {
        "a": [1, 2.5, None, True, "äö"],
        "set": {("v", 1, 2)},
        "array": np.array([[0.25, 0.1], [0.75, 0.9]]),
        "ints": np.arange(3, dtype=np.int32),
        "scalar": np.float64(1.5),
    }
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    got = pickles.load_pickle(path)
    assert isinstance(got, dict)
    assert got["a"] == value["a"]
    assert got["set"] == value["set"]
    assert np.array_equal(got["array"], value["array"])
    assert np.array_equal(got["ints"], value["ints"])
    assert got["scalar"] == 1.5


def test_text_that_is_no_pickle_is_refused(tmp_path):
    path = tmp_path / "x.pkl"
    for content in (b"", b'{"a": 1}', b"\x80\x05garbage"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            pickles.load_pickle(path)


# --- the published formats -----------------------------------------------------------------------


def test_groundingyoutube_counts_and_defects(tmp_path):
    root = root_with(tmp_path, "groundingyoutube_box_anno.json")
    summary = read_dataset("groundingyoutube", root).summary()
    assert (summary["videos"], summary["items"], summary["boxes"], summary["classes"]) == (
        1,
        3,
        3,
        2,
    )
    assert summary["suspicious"] == {"clipped at a limit": 2, "outside the canvas": 1} | {
        "zero area": 1
    }
    assert summary["dropped"] == {"no frame": 3}
    assert summary["usable"] == 0


def test_groundingyoutube_boxes_stay_as_published_unless_fixed(tmp_path):
    root = root_with(tmp_path, "groundingyoutube_box_anno.json")
    for second in (9, 10, 14):
        picture(root / f"frames/vidAAAAAAAA/{second}.jpg", (1280, 960))
    dataset = read_dataset("groundingyoutube", root)
    assert [item.id for item in dataset.items] == [
        "vidAAAAAAAA@10#0",
        "vidAAAAAAAA@11#1",
        "vidAAAAAAAA@15#2",
    ]
    assert dataset.items[0].boxes == ((200 / 640, 120 / 480, 400 / 640, 320 / 480),)
    assert dataset.items[1].boxes[0][3] > 1
    assert dataset.items[0].narration == "crack eggs"
    assert dataset.items[0].style == "label"
    fixed = read_dataset("groundingyoutube", root, ReadOptions(fix_clip=True))
    assert fixed.items[1].boxes[0][3] == 1
    assert fixed.reasons(dropped=False) == {"clipped at a limit": 2, "zero area": 1}
    fewer = read_dataset("groundingyoutube", root, ReadOptions(drop=frozenset({base.ZERO_AREA})))
    assert len(fewer.items) == 2
    assert fewer.reasons(dropped=True) == {"no box": 1}


def test_groundingyoutube_frame_names_follow_the_reference(tmp_path):
    root = root_with(tmp_path, "groundingyoutube_box_anno.json")
    picture(root / "frames/vidAAAAAAAA/9.jpg", color=(200, 0, 0))
    for offset in (-4, -3, -2, -1, 1, 2, 3):
        picture(root / f"frames_surrounding/vidAAAAAAAA/{10 + offset * 0.25}.jpg", color=(0, 0, 60))
    (item,) = read_dataset("groundingyoutube", root).items
    clip = load_clip(item, 8)
    assert clip.target == 4
    assert clip.frames.shape == (8, 480, 640, 3)
    assert clip.target_frame[0, 0, 0] > 150
    assert clip.frames[3][0, 0, 0] < 50
    assert load_clip(item).frames.shape[0] == 1
    assert np.array_equal(load_clip(item, 8, repeat_target=True).frames[0], clip.target_frame)
    other = read_dataset("groundingyoutube", root, ReadOptions(second_offset=0))
    assert [found.id for found in other.items] == []


def test_groundingyoutube_older_form(tmp_path):
    (tmp_path / "GoundingYouTubeBox.json").write_text(
        json.dumps({"v": {"76": {"box": [1, 2, 3, 4], "step": "beat_egg"}}})
    )
    picture(tmp_path / "v/75.jpg")
    (item,) = read_dataset("gyt", tmp_path).items
    assert (item.narration, item.time) == ("beat egg", 76.0)


def test_missing_neighbours_drop_or_repeat(tmp_path):
    root = root_with(tmp_path, "groundingyoutube_box_anno.json", "vhico_gt_bbox_test.json")
    picture(root / "frames/vidAAAAAAAA/9.jpg")
    (item,) = read_dataset("groundingyoutube", root).items
    assert load_clip(item).frames.shape[0] == 1
    with pytest.raises(InputError, match="neighbours"):
        load_clip(item, 8)
    (item,) = read_dataset("groundingyoutube", root, ReadOptions(missing="repeat")).items
    assert load_clip(item, 8).frames.shape[0] == 8
    picture(root / "slicing onion/vid0001/16.jpg", (480, 270))
    (item,) = read_dataset("vhico", root).items
    assert load_clip(item, 8).frames.shape[0] == 8  # V-HICO's protocol repeats


def test_vhico_takes_the_enclosing_box(tmp_path):
    root = root_with(tmp_path, "vhico_gt_bbox_test.json")
    picture(root / "VHICO-Keyframes/slicing onion/vid0001/16.jpg", (480, 270))
    options = ReadOptions(frames=root / "VHICO-Keyframes")
    dataset = read_dataset("V-HICO", root, options)
    (item,) = dataset.items
    assert item.boxes == ((100 / 480, 20 / 270, 300 / 480, 260 / 270),)
    assert (item.narration, item.label) == ("slicing onions", "slicing onion")
    assert dataset.summary()["boxes"] == 2
    both = read_dataset("vhico", root, ReadOptions(frames=root / "VHICO-Keyframes", boxes="all"))
    assert len(both.items[0].boxes) == 2
    with pytest.raises(InputError, match="unseen"):
        read_dataset("vhico", root, ReadOptions(subset="unseen"))


def test_daly_published_and_derived_agree(tmp_path):
    root = root_with(tmp_path, "daly1.1.0.pkl", "videogem_daly_frame_annotation.json")
    picture(root / "frames/vidCCCCCCCC/76.jpg")
    picture(root / "f/76.jpg")
    published, derived = (read_dataset(name, root) for name in ("daly", "daly-videogem"))
    for dataset in (published, derived):
        (item,) = dataset.items
        assert item.boxes == ((0.25, 0.10, 0.75, 0.90),)
        assert (item.narration, item.style) == ("Drinking", "camel")
    assert published.items[0].time == 3.0
    for number in (68, 70, 72, 74, 78, 80, 82):
        picture(root / f"f/{number}.jpg")
    (item,) = read_dataset("daly-videogem", root).items
    names = [path.stem for path in item.window]
    assert names == ["68", "70", "72", "74", "76", "78", "80", "82"]
    assert item.target == 4


def test_youcook_captions_and_canvas(tmp_path):
    names = ("yc2i_final_dataset_annotations.pkl", "yc2i_final_dataset_segments.pkl")
    root = root_with(tmp_path, *names, "youcookii_annotations_trainval.json")
    summary = read_dataset("youcook", root).summary()
    assert (summary["videos"], summary["items"], summary["boxes"]) == (2, 2, 2)
    assert summary["suspicious"] == {"video without boxes": 1}
    picture(root / "frames/vidBBBBBBBB/21.jpg", (1280, 720))
    picture(root / "frames/vidBBBBBBBB/22.jpg", (568, 480))
    capped, small = read_dataset("youcook", root).items
    assert capped.boxes == ((334 / 640, 247 / 360, 415 / 640, 298 / 360),)
    assert small.boxes[0][0] == 335.5 / 568
    assert capped.narration == "spread butter on the bread"
    assert capped.time == 21.0
    plain, _ = read_dataset("youcook", root, ReadOptions(canvas="frame")).items
    assert plain.boxes[0][0] == 334 / 1280
    shutil.copy(SAMPLES / "videogem_youcook_frame_annotation.json", root)
    (derived,) = read_dataset("youcook-videogem", root).items
    assert derived.boxes == capped.boxes


def test_youcook_filtered_list(tmp_path):
    boxes = {
        "2HsWZdKKBGg": {5: (1, 1, 2, 2)},
        "WYAFPvlDB_A": {5: (640, 360, 1280, 720)},
        "Re46osq_NkI": {5: (64, 36, 128, 72)},
    }
    (tmp_path / "final_dataset_annotations.pkl").write_bytes(pickle.dumps(boxes))
    segments = {(video, 0, 10) for video in boxes}
    (tmp_path / "final_dataset_segments.pkl").write_bytes(pickle.dumps(segments))
    database = {
        video: {"annotations": [{"segment": [0, 10], "sentence": "stir"}]} for video in boxes
    }
    (tmp_path / "youcookii_annotations_trainval.json").write_text(
        json.dumps({"database": database})
    )
    for video, size in zip(boxes, [(1280, 720), (1280, 720), (320, 180)], strict=True):
        picture(tmp_path / f"{video}/4.jpg", size)
    dataset = read_dataset("youcook", tmp_path, ReadOptions(canvas="filtered"))
    assert [item.boxes[0][0] for item in dataset.items] == [0.5, 0.1]
    assert dataset.reasons(dropped=True) == {"left out by the protocol": 1}


def test_youcook_seconds_between_segments():
    from videogem.datasets.readers.youcook import _caption_at

    captions = [(0.0, 5.0, "first"), (5.0, 9.0, "second")]
    spans = [(0.0, 5.0), (5.0, 9.0)]
    assert _caption_at(captions, spans, 4) == "first"
    assert _caption_at(captions, spans, 5) == "second"
    assert _caption_at(captions, spans, 9) == "second"
    assert _caption_at(captions, spans, 10) is None
    assert _caption_at(captions, [], 3) == "first"


# --- the generic format --------------------------------------------------------------------------


def test_jsonl_reads_images_and_says_what_is_wrong(tmp_path):
    picture(tmp_path / "a.png", (100, 50))
    root = write_jsonl(
        tmp_path,
        {"image": "a.png", "narration": "cut tomato", "boxes": [[10, 5, 20, 50]], "label": "cut"},
        {"image": "a.png", "narration": "stir", "boxes": [[10, 5, 10, 25], [0, 0, 120, 20]]},
        {"image": "gone.png", "narration": "stir", "boxes": [[1, 1, 2, 2]]},
        {"image": "a.png", "narration": "stir", "boxes": []},
        {"image": "a.png", "narration": " ", "boxes": [[1, 1, 2, 2]]},
        {"image": "a.png", "video": "a.mp4", "narration": "x", "boxes": [[1, 1, 2, 2]]},
        "{broken",
        {"image": "a.png", "narration": "x", "boxes": [[1, 2, 3]]},
        {"image": "a.png", "narration": "x", "boxes": [[5, 5, 2, 9]], "id": "mine"},
        {"image": "a.png", "narration": "x", "boxes": [[5, 5, 7, 9]], "id": "mine"},
    )
    dataset = read_dataset("jsonl", root)
    assert [item.id for item in dataset.items] == ["1", "2", "mine"]
    assert dataset.items[0].boxes == ((0.1, 0.1, 0.2, 1.0),)
    assert dataset.items[0].label == "cut"
    assert dataset.items[1].label == "stir"
    summary = dataset.summary()
    assert summary["items"] == 10
    assert summary["dropped"] == {
        "unreadable entry": 3,
        "duplicate item": 1,
        "no frame": 1,
        "no box": 1,
        "no narration": 1,
    }
    assert summary["suspicious"] == {
        "clipped at a limit": 1,
        "zero area": 1,
        "outside the canvas": 1,
        "inverted box": 1,
    }


def test_jsonl_turns_photos_as_they_are_shown(tmp_path):
    image = Image.new("RGB", (80, 40))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert image_size(tmp_path / "turned.jpg") == (40, 80)
    write_jsonl(tmp_path, {"image": "turned.jpg", "narration": "x y", "boxes": [[0, 0, 20, 80]]})
    (item,) = read_dataset("jsonl", tmp_path).items
    assert item.boxes == ((0.0, 0.0, 0.5, 1.0),)
    assert load_clip(item).size_wh == item.size_wh


def test_jsonl_unreadable_frame(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    write_jsonl(tmp_path, {"image": "a.png", "narration": "x y", "boxes": [[0, 0, 1, 1]]})
    assert read_dataset("jsonl", tmp_path).reasons(dropped=True) == {"unreadable frame": 1}


# --- Label Studio --------------------------------------------------------------------------------


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


# --- names, roots, boxes -------------------------------------------------------------------------


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


def test_jsonl_may_name_words_and_style(tmp_path):
    picture(tmp_path / "a.png")
    row = {"image": "a.png", "narration": "CutTomato", "boxes": [[0, 0, 9, 9]]}
    told = row | {"verb": "cutting", "object": "tomato", "style": "camel"}
    root = write_jsonl(tmp_path, row, told, row | {"style": "snake"}, row | {"verb": 3})
    plain, worded = read_dataset("jsonl", root).items
    assert (plain.verb, plain.object, plain.style) == (None, None, "auto")
    assert (worded.verb, worded.object, worded.style) == ("cutting", "tomato", "camel")
    assert read_dataset("jsonl", root).reasons(dropped=True) == {"unreadable entry": 2}


def test_jsonl_may_say_which_video_an_image_is_a_frame_of(tmp_path):
    """Frames of one video are alike: what does not know them takes each for a video."""
    rows = []
    for number in range(4):
        picture(tmp_path / f"{number}.png")
        row = {"image": f"{number}.png", "narration": "cut tomato", "boxes": [[0, 0, 9, 9]]}
        rows.append(row | ({"video_id": f"clip-{number // 2}"} if number else {}))
    found = read_dataset("jsonl", write_jsonl(tmp_path, *rows, rows[0] | {"video_id": 7}))
    assert [item.video for item in found.items] == ["0.png", "clip-0", "clip-1", "clip-1"]
    assert found.videos == {"clip-0", "clip-1"}
    assert found.reasons(dropped=True) == {"unreadable entry": 1}


def test_windows_filled_by_repeating_are_told(tmp_path):
    root = root_with(tmp_path, "vhico_gt_bbox_test.json")
    (root / "vhico_gt_bbox_test.json").rename(root / "gt_bbox_test.json")
    picture(root / "slicing onion/vid0001/16.jpg", (480, 270))
    dataset = read_dataset("vhico", root)
    assert dataset.summary()["repeated_windows"] == 1
    assert "1 of 1 windows" in dataset.notes[0]
    for number in range(0, 32, 4):
        picture(root / f"slicing onion/vid0001/{number}.jpg", (480, 270))
    assert read_dataset("vhico", root).notes == []


def test_deviations_from_the_protocol_are_told(tmp_path):
    root = root_with(tmp_path, "groundingyoutube_box_anno.json")
    (root / "groundingyoutube_box_anno.json").rename(root / "box_anno.json")
    assert read_dataset("groundingyoutube", root).deviations == ()
    options = ReadOptions(fix_clip=True, drop=frozenset({"zero area"}))
    found = read_dataset("groundingyoutube", root, options).deviations
    assert found == ("clipping mended", "without boxes 'zero area'")
