"""The box covers nearly all of the frame."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import WHOLE_FRAME, Doubt, Item, Reason, flat
from videogem.metrics import box_area


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for item in items:
        canvas = item.size_wh[0] * item.size_wh[1]
        share = max((box_area(box) / canvas for box in item.boxes if not flat(box)), default=0.0)
        if share >= WHOLE_FRAME:
            yield Doubt(item, min(1.0, share), f"{100 * share:.0f} % of the frame")


REASON = Reason("whole-frame", "the box covers nearly the whole frame", 0.7, check)
