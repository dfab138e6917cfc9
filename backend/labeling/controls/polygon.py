"""Polygon and PolygonLabels: read where people draw them; what is found is written as a box."""

from backend.labeling.forms import ControlForm
from backend.labeling.shapes import read_polygon

CONTROL = ControlForm(
    tags={"polygon": None, "polygonlabels": "label"},
    on=frozenset({"image"}),
    shape="box",
    read=read_polygon,
)
