"""The box is hardly there."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason, flat
from videogem.metrics import box_area

TINY = 0.0005  # of the canvas' area: 12 x 12 pixels of 640 x 480


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for item in items:
        canvas = item.size_wh[0] * item.size_wh[1]
        share = min((box_area(box) / canvas for box in item.boxes if not flat(box)), default=1.0)
        if share < TINY:
            yield Doubt(item, 1 - share / TINY, f"{100 * share:.3f} % of the frame")


REASON = Reason("tiny", "the box is too small to be seen", 0.7, check)
