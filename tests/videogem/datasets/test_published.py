"""The published formats: counts, defects, and the protocol."""

import json
import pickle
import shutil

import numpy as np
import pytest

from tests.videogem.datasets.annotations import SAMPLES, picture, root_with
from videogem.datasets import base
from videogem.datasets.base import ReadOptions
from videogem.datasets.media import load_clip
from videogem.datasets.registry import read_dataset
from videogem.errors import InputError


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
