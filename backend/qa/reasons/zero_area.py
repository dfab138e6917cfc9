"""A side of the box is zero or negative."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason, flat


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for item in items:
        if any(flat(box) for box in item.boxes):
            yield Doubt(item, 1.0, "a side of the box is zero or negative")


REASON = Reason("zero-area", "the box has no area", 1.0, check)
