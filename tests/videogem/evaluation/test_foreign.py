"""The forms other systems give, as docs/reproduce.md tells how to write them."""

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from videogem.datasets.base import Item
from videogem.errors import InputError
from videogem.evaluation.files import annotation_row, read_predictions
from videogem.evaluation.foreign import point_and_box

PAGE = (Path(__file__).resolve().parents[3] / "docs/reproduce.md").read_text("utf-8")
SIZE = (640, 360)
QWEN = '```json\n[{"bbox_2d": [64, 36, 128, 72], "label": "knife"}]\n```'
QWEN_2 = "<|object_ref_start|>a knife<|object_ref_end|><|box_start|>(100,100),(200,200)<|box_end|>"
MOLMO = ' <point x="10.0" y="20.5" alt="knife">knife</point>'


@pytest.mark.parametrize(
    ("row", "point", "box"),
    [
        ({"answer": QWEN, "unit": "pixels"}, None, (0.1, 0.1, 0.2, 0.2)),  # Qwen2.5-VL
        ({"answer": QWEN, "unit": "thousandths"}, None, (0.064, 0.036, 0.128, 0.072)),  # Qwen3-VL
        ({"answer": QWEN_2, "unit": "thousandths"}, None, (0.1, 0.1, 0.2, 0.2)),  # Qwen2-VL
        ({"answer": '{"point_2d": [500, 250]}', "unit": "thousandths"}, (0.5, 0.25), None),
        ({"answer": MOLMO, "unit": "percent"}, (0.1, 0.205), None),
        ({"answer": "There is no knife.", "unit": "pixels"}, None, None),
        ({"points": [[1, 0, 64.0, 36.0], [2, 0, 9, 9]]}, (0.1, 0.1), None),  # MolmoPoint
        ({"points": [{"x": 320, "y": 180}]}, (0.5, 0.5), None),
        ({"points": []}, None, None),
        (
            {"boxes": [[0, 0, 1, 1], [64, 36, 128, 72]], "scores": [0.3, 0.6]},  # Grounding DINO
            None,
            (0.1, 0.1, 0.2, 0.2),
        ),
        (
            {"boxes": [[0.5, 0.5, 0.2, 0.4]], "unit": "fraction", "form": "cxcywh"},
            None,
            (0.4, 0.3, 0.6, 0.7),
        ),
        ({"boxes": [], "scores": []}, None, None),
    ],
)
def test_forms_of_other_systems(row, point, box):
    found_point, found_box = point_and_box(row, SIZE)
    assert found_point == (None if point is None else pytest.approx(point))
    assert found_box == (None if box is None else pytest.approx(box))


@pytest.mark.parametrize(
    ("answer", "point", "box"),
    [
        ('{"bbox_2d": [6.4e1, +36, 128., 72]}', None, (0.1, 0.1, 0.2, 0.2)),
        ("{'bbox_2d': [64, 36, 128, 72]}", None, (0.1, 0.1, 0.2, 0.2)),
        ('{"BBox": ["64", "36",\n"128", "72"]}', None, (0.1, 0.1, 0.2, 0.2)),
        ([{"label": "knife", "bbox_2d": [64, 36, 128, 72]}], None, (0.1, 0.1, 0.2, 0.2)),
        ("<|box_start|>(64, 36), (128, 72)<|box_end|>", None, (0.1, 0.1, 0.2, 0.2)),
        ("<ref>knife</ref><box>(64,36),(128,72)</box>", None, (0.1, 0.1, 0.2, 0.2)),  # Qwen-VL
        ("<point alt='knife' y='36' x='64'/>", (0.1, 0.1), None),
        ('<points alt="knives" x1="64" y1="36" x2="9" y2="9">knives</points>', (0.1, 0.1), None),
        ("I see 2 knives and 3 boards, and neither is held.", None, None),
        (None, None, None),
    ],
)
def test_answers_may_be_spelled_in_other_ways(answer, point, box):
    found_point, found_box = point_and_box({"answer": answer, "unit": "pixels"}, SIZE)
    assert found_point == (None if point is None else pytest.approx(point))
    assert found_box == (None if box is None else pytest.approx(box))


@pytest.mark.parametrize(
    "row",
    [
        {"answer": "(64, 36)", "unit": "pixels"},
        {"answer": "[64, 36, 128, 72]", "unit": "pixels"},
        {"answer": '{"x": 64, "y": 36}', "unit": "pixels"},
        {"answer": '<points coords="1 1 64 36"/>', "unit": "pixels"},
        {"answer": '<point p="64, 36">', "unit": "pixels"},
        {"boxes": [[0, 0, 1, 1], [0, 0, 2, 2]], "scores": [0.5]},
        {"boxes": [[0, 0, 1, 1], [0, 0, 2, 2]], "scores": [0.5, float("nan")]},
        {"boxes": [0, 0, 1, 1], "scores": [0.5]},
        {"points": [[]]},
        {"box": [float("nan")] * 4},
        {"point": [float("inf"), 1]},
    ],
)
def test_what_points_in_no_known_form_is_refused_and_no_miss(row, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"id": "a", **row}))
    with pytest.raises(InputError, match="line 1 is no prediction"):
        read_predictions(path, [item("a")])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": QWEN}, "needs a 'unit'"),
        ({"point": [1, 2], "unit": "permille"}, "thousandths"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, 2, 2]]}, "scores"),
        ({"box": [0, 0, 1, 1], "form": "xywh"}, "cxcywh"),
    ],
)
def test_nothing_about_units_is_guessed(row, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        point_and_box(row, SIZE)
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"id": "a", **row}))
    with pytest.raises(InputError, match="line 1 is no prediction"):
        read_predictions(path, [item("a")])


def test_numbers_are_pixels_unless_said_otherwise():
    assert point_and_box({"point": [500, 300]}, SIZE)[0] == pytest.approx((500 / 640, 300 / 360))


def item(id_: str, **values) -> Item:
    boxes = ((0.1, 0.1, 0.2, 0.2),)
    return Item(id_, **{"video": "v", "narration": "x", "label": "x", "boxes": boxes,
                        "size_wh": SIZE} | values)  # fmt: skip


def test_the_one_liner_for_grove(tmp_path):
    """Its pickles, as infer_youcookinteractions.py and its annotations have them."""
    items = [
        item("v@22", boxes=((0.1, 0.1, 0.2, 0.2),)),
        item("v@23", boxes=((0.5, 0.5, 0.6, 0.6),)),
    ]
    boxes = [annotation_row(one)["boxes"][0] for one in items]
    found = {"v_0": {"final_boxes": [np.full((1, 4), np.nan), np.array([[320, 180, 384, 216]])]}}
    truth = [{"video_id": "v", "segment_youcook_idx": 0, "segment_bboxes": boxes}]
    for name, content in (("grove.pkl", found), ("video_info.pkl", truth)):
        (tmp_path / name).write_bytes(pickle.dumps(content))
    lines = [json.dumps(annotation_row(one) | {"id": one.id}) for one in items]
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    (script,) = re.findall(r"```python\n# grove.*?\n(.*?)```", PAGE, re.DOTALL)
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True, text=True
    )
    (tmp_path / "grove.jsonl").write_text(ended.stdout)
    read = read_predictions(tmp_path / "grove.jsonl", items)
    assert read["v@22"].box is None
    assert read["v@23"].box == pytest.approx((0.5, 0.5, 0.6, 0.6))
