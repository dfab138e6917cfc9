"""Ellipse and EllipseLabels: read where people draw them; what is found is written as a box."""

from backend.labeling.forms import ControlForm
from backend.labeling.shapes import read_ellipse

CONTROL = ControlForm(
    tags={"ellipse": None, "ellipselabels": "label"},
    on=frozenset({"image"}),
    shape="box",
    read=read_ellipse,
)
