"""A box that is elsewhere for one key frame."""

import math
from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason, grouped
from videogem.structures import Box, Point

JUMP, JUMP_RATIO = 0.15, 3.0  # of the diagonal; times the way between the neighbours


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    usable = [item for item in items if item.track and item.time is not None and item.boxes]
    for same in grouped(usable, lambda item: (item.track, item.annotator, item.label)).values():
        ordered = sorted(same, key=lambda item: item.time or 0.0)
        for before, item, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
            diagonal = math.hypot(*item.size_wh)
            a, b, c = (_middle(i.boxes[0]) for i in (before, item, after))
            away = min(math.dist(a, b), math.dist(b, c)) / diagonal
            if away > max(JUMP, JUMP_RATIO * math.dist(a, c) / diagonal):
                detail = f"{100 * away:.0f} % of the diagonal away from the frames beside it"
                yield Doubt(item, min(1.0, 2 * away), detail)


def _middle(box: Box) -> Point:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


REASON = Reason(
    "track-jump", "the box jumps away and back between neighbouring frames", 0.85, check
)
