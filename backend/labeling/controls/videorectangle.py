"""VideoRectangle: the box, or the point, followed through a narrated moment."""

from typing import Any

from backend.labeling.forms import ControlForm
from backend.labeling.regions import (
    Region,
    Track,
    box_label,
    box_of,
    plain_region,
    to_percent_box,
)
from backend.labeling.shapes import read_track
from backend.labeling.targets import Control
from videogem.structures import Box, Point

POINT_BOX = 0.01  # half the side of the box that stands for a point


def _write_track(track: Track, control: Control) -> list[Region]:
    label = box_label(track.best, control)
    value: dict[str, Any] = {
        "sequence": _sequence(track, control),
        "framesCount": track.shown.num_frames,
        "duration": round(track.shown.duration, 3),
        **({} if label is None else {"labels": [label]}),
    }
    return [plain_region(track.best, control, value)]


def _sequence(track: Track, control: Control) -> list[dict[str, Any]]:
    """Key frames as Label Studio needs them (PROTOCOL.md): numbered from 1, rising, with
    ``enabled`` and ``rotation``; the last one ends the box, which would stay for ever otherwise.
    """
    steps: dict[int, dict[str, Any]] = {}
    for found in track.keys:
        box = box_of(found, control)
        if control.options.get("model_output") == "point":
            box = _box_round(found.grounding.point)
        frame = track.shown.frame(found.grounding.time)
        time = round((frame - 1) / track.shown.framerate, 3)  # for readers; only `frame` is trusted
        step = {"frame": frame, "time": time, "enabled": True, "rotation": 0}
        steps.setdefault(frame, {**step, **to_percent_box(box)})
    sequence = [steps[frame] for frame in sorted(steps)]
    sequence[-1]["enabled"] = False
    return sequence


def _box_round(point: Point) -> Box:
    """A point as a small box, because Label Studio has no points on videos."""
    x, y = (min(max(float(share), POINT_BOX), 1 - POINT_BOX) for share in point)
    return x - POINT_BOX, y - POINT_BOX, x + POINT_BOX, y + POINT_BOX


CONTROL = ControlForm(
    tags={"videorectangle": None},
    on=frozenset({"video"}),
    write_track=_write_track,
    shape="track",
    read=read_track,
)
