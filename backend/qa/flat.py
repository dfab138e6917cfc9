"""Stored score rows as the figures read them."""

from backend.labeling.shapes import number
from backend.qa.events import Row

TEXTS = ("kind", "outcome", "at", "narration", "verb", "object", "video", "media")
NEEDED = {"annotator", "model_version", "ground_truth", "independent", "accepted", "lead_time"}
NUMBERS = (
    "iou", "distance_diagonal", "distance_side", "lead_time", "score", "item", "frame", "left_out",
)  # fmt: skip


def flat(stored: Row) -> Row | None:
    """A stored row with its facts beside its keys, or None: it cannot be read.

    A row is written by one version and read by another; one of them must never cost the page.
    """
    data = stored["data"]
    if not isinstance(data, dict) or not all(isinstance(data.get(name), str) for name in TEXTS):
        return None
    if not data.keys() >= NEEDED or not all(_is_number(data.get(name)) for name in NUMBERS):
        return None
    for name, length in (("point", 2), ("corrected", 2), ("size", 2), ("box", 4)):
        place = data.get(name, [0] * length)
        if not isinstance(place, list) or len(place) != length:
            return None
        if not all(number(part) is not None for part in place):
            return None
    return {**{name: value for name, value in stored.items() if name != "data"}, **data}


def _is_number(value: object) -> bool:
    return value is None or number(value) is not None
