"""KeyPoint and KeyPointLabels: a point for every part of the narration that is asked for."""

from backend.labeling.forms import ControlForm
from backend.labeling.labels import parts_to_point
from backend.labeling.regions import Found, Region, image_regions, to_percent_point
from backend.labeling.shapes import read_point
from backend.labeling.targets import Control
from videogem.structures import Point

MARKER_WIDTH = 1.0  # percent of the image's width: how large Label Studio draws a point


def _write(found: Found, control: Control) -> list[Region]:
    grounding = found.grounding
    if found.labels_are == "actions":
        return _point(found, control, "action", grounding.point, grounding.narration)
    regions = []
    for part in parts_to_point(control, grounding):
        point = grounding.point if part == "action" else grounding.points[part]
        regions += _point(found, control, part, point, found.label(control, part))
    return regions


def _point(
    found: Found, control: Control, part: str, point: Point, label: str | None
) -> list[Region]:
    value = {**to_percent_point(point), "width": MARKER_WIDTH}
    return image_regions(found, control, value, label, part=part)


CONTROL = ControlForm(
    tags={"keypoint": None, "keypointlabels": "label"},
    on=frozenset({"image"}),
    write=_write,
    shape="point",
    read=read_point,
)
