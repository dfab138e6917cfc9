"""TimelineLabels: when a narrated moment starts and ends."""

from backend.labeling.forms import ControlForm
from backend.labeling.regions import Region, Track, box_label, plain_region
from backend.labeling.targets import Control


def _write_track(track: Track, control: Control) -> list[Region]:
    ends = {"start": track.shown.frame(track.start), "end": track.shown.frame(track.end)}
    label = box_label(track.best, control)
    labels = {} if label is None else {control.type: [label]}
    return [plain_region(track.best, control, {"ranges": [ends], **labels})]


CONTROL = ControlForm(
    tags={"timelinelabels": "label"}, on=frozenset({"video"}), write_track=_write_track
)
