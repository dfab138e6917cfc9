"""Boxes from heatmaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from videogem.method.boxes import action_box, region_box
from videogem.method.heatmaps import peak
from videogem.metrics import hit

HEATMAP = arrays(np.float32, (6, 8), elements=st.floats(0, 1, width=32))


@given(HEATMAP, st.floats(0.05, 1))
def test_a_box_is_never_empty_lies_in_the_frame_and_holds_the_peak(heatmap, threshold):
    x1, y1, x2, y2 = region_box(heatmap, threshold)
    assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1
    assert hit(peak(heatmap), [(x1, y1, x2, y2)])


def test_only_the_region_round_the_peak_counts():
    heatmap = np.zeros((10, 20), dtype=np.float32)
    heatmap[2:4, 3:6] = 0.6
    heatmap[3, 5] = 1.0
    heatmap[7:9, 15:18] = 0.9  # a second region, apart
    assert region_box(heatmap, 0.5) == (3 / 20, 2 / 10, 6 / 20, 4 / 10)


def test_a_higher_threshold_gives_a_smaller_box():
    rows, columns = np.mgrid[0:21, 0:21]
    heatmap = 1 - np.hypot(rows - 10, columns - 10) / 15
    areas = [
        (x2 - x1) * (y2 - y1)
        for x1, y1, x2, y2 in (region_box(heatmap, t) for t in (0.2, 0.5, 0.8, 1.0))
    ]
    assert areas == sorted(areas, reverse=True) and areas[0] > areas[-1]


WEIGHTS = (0.2, 0.2, 0.6)


def maps_of(*boxes):
    """Maps on 10 x 10 pixels that are 1 inside a box of (left, top, right, bottom)."""
    maps = np.zeros((3, 10, 10), dtype=np.float32)
    for heatmap, (left, top, right, bottom) in zip(maps, boxes, strict=True):
        heatmap[top:bottom, left:right] = 1
    return maps


def test_an_action_box_encloses_verb_and_object():
    maps = maps_of((1, 1, 4, 6), (5, 4, 7, 7), (4, 4, 5, 5))
    assert action_box(maps, WEIGHTS) == ((0.1, 0.1, 0.7, 0.7), False)


def test_without_verb_and_object_the_action_prompt_makes_the_box():
    maps = maps_of((1, 1, 2, 2), (6, 8, 7, 9), (5, 5, 6, 6))
    assert action_box(maps, (0.0, 0.0, 1.0)) == ((0.5, 0.5, 0.6, 0.6), False)


@pytest.mark.parametrize(
    ("verb", "object_", "action", "box", "doubtful"),
    [
        ((0, 0, 2, 2), (8, 8, 10, 10), (7, 7, 10, 10), (0.7, 0.7, 1, 1), True),
        ((0, 0, 10, 10), (8, 8, 10, 10), (7, 7, 10, 10), (0.7, 0.7, 1, 1), True),  # no peak
        ((8, 8, 10, 10), (0, 0, 9, 9), (7, 7, 10, 10), (0.7, 0.7, 1, 1), True),
        ((0, 0, 10, 5), (0, 5, 2, 6), (7, 7, 10, 10), (0, 0, 1, 0.6), False),  # just half
        ((0, 0, 2, 2), (8, 0, 10, 2), (7, 0, 9, 2), (0, 0, 1, 0.2), False),  # 8 of 20 pixels
        ((0, 0, 2, 2), (4, 8, 6, 10), (0, 0, 10, 10), (0, 0, 0.6, 1), True),  # no larger box
    ],
)
def test_where_verb_and_object_name_no_one_place_the_action_makes_the_box(
    verb, object_, action, box, doubtful
):
    assert action_box(maps_of(verb, object_, action), WEIGHTS) == (box, doubtful)


def test_one_part_alone_that_peaks_nowhere_is_doubtful_too():
    maps = maps_of((0, 0, 10, 10), (0, 0, 1, 1), (7, 7, 10, 10))
    assert action_box(maps, (0.5, 0.0, 0.5)) == ((0.7, 0.7, 1, 1), True)
    assert action_box(maps, (0.0, 0.5, 0.5)) == ((0, 0, 0.1, 0.1), False)
