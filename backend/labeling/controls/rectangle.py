"""Rectangle and RectangleLabels: the box of the action."""

from backend.labeling.forms import ControlForm
from backend.labeling.regions import (
    Found,
    Region,
    box_label,
    box_of,
    image_regions,
    to_percent_box,
)
from backend.labeling.shapes import read_box
from backend.labeling.targets import Control


def _write(found: Found, control: Control) -> list[Region]:
    value = {**to_percent_box(box_of(found, control)), "rotation": 0}
    return image_regions(found, control, value, box_label(found, control))


CONTROL = ControlForm(
    tags={"rectangle": None, "rectanglelabels": "label"},
    on=frozenset({"image"}),
    write=_write,
    shape="box",
    read=read_box,
)
