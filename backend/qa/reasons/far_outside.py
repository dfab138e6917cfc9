"""The predicted point is far from every box."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason, misses

FAR = 0.15  # of the diagonal, from the point to the nearest box


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for item, away in misses(items):
        if away > FAR:
            detail = f"{100 * away:.0f} % of the diagonal outside"
            yield Doubt(item, min(1.0, away / (4 * FAR)), detail)


REASON = Reason("far-outside", "the model points far away from the box", 0.8, check)
