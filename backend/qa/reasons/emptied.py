"""Everything was deleted, and nothing drawn."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for item in items:
        if item.emptied:
            detail = f"nothing left of {item.emptied} predicted, nothing drawn, not skipped"
            yield Doubt(item, 0.7, detail)


REASON = Reason("emptied", "submitted without any region where some were predicted", 0.8, check)
