"""Brush and BrushLabels: the action's mask as run lengths."""

from backend.labeling.forms import ControlForm
from backend.labeling.masks import brush_rle
from backend.labeling.regions import Found, Region, box_label, image_regions, mask_of
from backend.labeling.shapes import read_mask
from backend.labeling.targets import Control


def _write(found: Found, control: Control) -> list[Region]:
    value = {"format": "rle", "rle": brush_rle(mask_of(found, control))}
    return image_regions(found, control, value, box_label(found, control))


CONTROL = ControlForm(
    tags={"brush": None, "brushlabels": "label"},
    on=frozenset({"image"}),
    write=_write,
    shape="mask",
    read=read_mask,
)
