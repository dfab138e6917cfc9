"""Label Studio's regions read as geometry, checked against hand values and a pixel oracle."""

import base64
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.qa.regions import contains, corners_at, corners_iou, overlap, read_region, read_regions
from tests.qa_events import box, point, recorded, track
from videogem.metrics import box_iou

percent = st.floats(0, 100)


def read(item):
    return read_region(item, {})


@given(x=percent, y=percent, w=percent, h=percent)
def test_edges_of_a_box_belong_to_it(x, y, w, h):
    region = read(box(x, y, w, h))
    for px, py in ((x, y), (x + w, y), (x, y + h), (x + w, y + h)):
        assert contains(region, read(point(px, py)).point)
    assert not contains(region, (x / 100 - 1e-6, y / 100))
    assert not contains(region, (x / 100, (y + h) / 100 + 1e-6))


def test_rotation_is_clockwise_about_the_top_left_corner_in_pixels():
    # 640 x 360: a box of 64 x 36 px at (320, 36), turned a quarter, lies left of its corner.
    region = read(box(50, 10, 10, 10, rotation=90))
    expected = (50 - 100 * 36 / 640, 10.0, 50.0, 10 + 100 * 64 / 360)
    assert [100 * v for v in region.box] == pytest.approx(expected)
    assert contains(region, (0.47, 0.2))
    assert not contains(region, (0.55, 0.15))


@given(angle=st.floats(-180, 180), x=st.floats(20, 60), w=st.floats(5, 30), h=st.floats(5, 30))
def test_corners_and_centre_of_a_turned_box_lie_in_it(angle, x, w, h):
    region = read(box(x, 40, w, h, rotation=angle))
    assert all(contains(region, corner) for corner in (*region.corners, region.point))
    sides = [
        math.dist((a[0] * 640, a[1] * 360), (b[0] * 640, b[1] * 360))
        for a, b in zip(region.corners, region.corners[1:], strict=False)
    ]
    assert sides == pytest.approx([w * 6.4, h * 3.6, w * 6.4], rel=1e-6)


@given(
    a=st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(1, 40)] * 2, st.floats(-90, 90)),
    b=st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(1, 40)] * 2, st.floats(-90, 90)),
)
def test_overlap_of_turned_boxes_agrees_with_counting_pixels(a, b):
    first, second = (read(box(*v[:4], rotation=v[4])) for v in (a, b))
    ys, xs = (np.mgrid[-200:500, -200:500] + 0.5) / 300
    inside = []
    for region in (first, second):
        mask = np.ones(xs.shape, bool)
        ring = region.corners
        for p, q in zip(ring, [*ring[1:], ring[0]], strict=True):
            mask &= (q[0] - p[0]) * (ys - p[1]) - (q[1] - p[1]) * (xs - p[0]) >= 0
        inside.append(mask)
    union = np.logical_or(*inside).sum()
    counted = np.logical_and(*inside).sum() / union if union else 0
    tolerance = 0.02 + 60 / max(union, 1)  # a border of about a pixel
    assert overlap(first, second) == pytest.approx(counted, abs=tolerance)
    assert overlap(first, second) == pytest.approx(overlap(second, first), abs=1e-9)
    assert overlap(first, first) == pytest.approx(1)


def test_overlap_of_upright_boxes_is_the_metric_s():
    first, second = read(box(10, 10, 20, 20)), read(box(20, 10, 20, 20))
    assert overlap(first, second) == pytest.approx(box_iou(first.box, second.box))
    assert overlap(first, second) == pytest.approx(1 / 3)


def test_a_track_is_drawn_straight_between_keys_and_stops_where_disabled():
    def key(frame, x, enabled):
        numbers = {"x": x, "y": 10, "width": 10, "height": 10, "rotation": 0}
        return {"frame": frame, "enabled": enabled, "time": 0, **numbers}

    region = read(track([key(11, 30, False), key(1, 10, True), key(21, 50, True)]))
    assert corners_at(region, 1)[0] == (0.1, 0.1)
    assert corners_at(region, 6)[0] == pytest.approx((0.2, 0.1))
    assert corners_at(region, 11)[0] == (0.3, 0.1)
    assert corners_at(region, 15) is None
    assert corners_at(region, 0) is None
    assert corners_at(region, 90)[0] == (0.5, 0.1)


def test_masks_of_the_recordings_are_read_and_agree_with_each_other():
    body = recorded("webhook_annotation_created_image_moved_keypoint")[0]
    regions = {r.id: r for r in read_regions(body["annotation"]["result"])}
    brush, bitmap = regions["br1"], regions["bm1"]
    assert brush.mask.shape == bitmap.mask.shape == (360, 640)
    assert 0 < brush.mask.mean() < 1
    row, column = np.argwhere(brush.mask)[0]
    assert contains(brush, ((column + 0.5) / 640, (row + 0.5) / 360))
    assert overlap(brush, brush) == 1


def test_a_box_against_a_mask_counts_pixels():
    pixels = np.zeros((36, 64, 4), np.uint8)
    pixels[9:18, 16:32, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    value = {"imageDataURL": url, "bitmasklabels": ["action"]}
    mask = read({**box(0, 0, 1, 1), "type": "bitmasklabels", "value": value})
    assert overlap(read(box(25, 25, 25, 25)), mask) == pytest.approx(1)
    assert overlap(read(box(25, 25, 12.5, 25)), mask) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"type": "rectanglelabels"},
        {"type": "rectanglelabels", "value": {"x": 1, "y": 2, "width": 3}},
        {"type": "rectanglelabels", "value": {"x": "1", "y": 2, "width": 3, "height": 4}},
        {"type": "keypointlabels", "value": {"x": None, "y": 2}},
        {"type": "keypointlabels", "value": {"x": float("nan"), "y": 2}},
        {"type": "brushlabels", "value": {"rle": [1, 2, 3]}},
        {"type": "bitmasklabels", "value": {"imageDataURL": "data:image/png;base64,!!"}},
        {"type": "videorectangle", "value": {"sequence": [{"time": 1}]}},
        {"type": "textarea", "value": {"text": ["cut"]}},
    ],
)
def test_malformed_and_placeless_regions_are_no_place(item):
    assert read(item) is None


def test_a_polygon_needs_no_area():
    flat = ((0.1, 0.1), (0.3, 0.1), (0.3, 0.1), (0.1, 0.1))
    assert corners_iou(flat, flat) == 0
