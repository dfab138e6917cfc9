"""What regions tell the annotator besides a place."""

from dataclasses import replace

import numpy as np
import pytest

from backend.labeling.config import parse_labeling
from backend.labeling.regions import UNSURE, Found, Shown, Track
from backend.labeling.results import to_regions, to_video_regions
from tests.fakes import FakeGrounder
from videogem.structures import Clip, Signals

IMAGE = """<View><Image name="i" value="$i"/><Text name="t" value="$t"/>
<KeyPoint name="p" toName="i"/><Rectangle name="b" toName="i"/></View>"""
VIDEO = """<View><Video name="v" value="$v"/><Text name="t" value="$t"/>
<VideoRectangle name="b" toName="v"/><Labels name="l" toName="v"><Label value="A"/></Labels>
<TimelineLabels name="m" toName="v"><Label value="A"/></TimelineLabels></View>"""


def found(*, doubtful, time=0.0, window=()):
    clip = Clip.from_image(np.zeros((8, 8, 3), np.uint8))
    grounding = FakeGrounder().ground(clip, ["cut the tomato"])[0]
    return Found(replace(grounding, doubtful=doubtful, time=time, window=window), key="1")


def notes(regions):
    return [region.get("meta", {}).get("text", []) for region in regions]


@pytest.mark.parametrize("doubtful", [True, False])
def test_doubt_is_told_in_the_details_of_every_region_of_the_moment(doubtful):
    controls = parse_labeling(IMAGE).targets[0].controls
    told = [UNSURE] if doubtful else []
    assert notes(to_regions(found(doubtful=doubtful), controls)) == [told] * 2
    seen = to_regions(found(doubtful=doubtful, window=(0.0, 0.25)), controls)
    assert notes(seen) == [[*told, "The model looked at 0.000, 0.250 s."]] * 2


@pytest.mark.parametrize("doubtful", [(True, False), (False, True), (False, False)])
def test_doubt_at_one_key_frame_is_told_of_the_whole_track(doubtful):
    controls = parse_labeling(VIDEO).targets[0].controls
    keys = [found(doubtful=each, time=float(time)) for time, each in enumerate(doubtful)]
    regions = to_video_regions(Track(keys, 0.0, 1.0, Shown(25.0, 2.0)), controls)
    assert len(regions) == 2
    said = "Said: cut the tomato"
    assert notes(regions) == [[said, UNSURE] if any(doubtful) else [said]] * 2


def test_signals_lie_beside_the_notes_of_every_region():
    controls = parse_labeling(IMAGE).targets[0].controls
    signals = Signals(0.9, 0.8, 0.3, 0.1, 0.2, 0.21, 0.22, 0.01, 0.08)
    unsure = found(doubtful=True)
    measured = replace(unsure, grounding=replace(unsure.grounding, signals=signals))
    metas = [region["meta"] for region in to_regions(measured, controls)]
    assert (
        metas == [{"text": [UNSURE], "signals": signals.as_dict(), "scoring": "uncalibrated"}] * 2
    )
    assert metas[0]["signals"]["action"] == 0.22
    controls = parse_labeling(VIDEO).targets[0].controls
    regions = to_video_regions(Track([measured], 0.0, 1.0, Shown(25.0, 2.0)), controls)
    assert all(region["meta"]["signals"] == signals.as_dict() for region in regions)
