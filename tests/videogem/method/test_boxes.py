"""Boxes from heatmaps."""

import numpy as np
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


def test_an_action_box_encloses_verb_and_object():
    maps = np.zeros((3, 10, 10), dtype=np.float32)
    maps[0, 1, 1] = maps[1, 8, 6] = maps[2, 5, 5] = 1
    assert action_box(maps, (0.2, 0.2, 0.6)) == (0.1, 0.1, 0.7, 0.9)


def test_without_verb_and_object_the_action_prompt_makes_the_box():
    maps = np.zeros((3, 10, 10), dtype=np.float32)
    maps[0, 1, 1] = maps[1, 8, 6] = maps[2, 5, 5] = 1
    assert action_box(maps, (0.0, 0.0, 1.0)) == (0.5, 0.5, 0.6, 0.6)
