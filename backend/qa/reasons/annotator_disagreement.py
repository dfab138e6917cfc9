"""Two people drew different boxes for one task."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason, agree, grouped

DISAGREE_IOU = 0.3


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for same in grouped(items, lambda item: item.task or item.id).values():
        for item in same:
            others = [o for o in same if o is not item and o.annotator != item.annotator]
            if not others:
                continue
            agreement = sum(agree(item.boxes, o.boxes) for o in others) / len(others)
            if agreement < DISAGREE_IOU:
                detail = f"overlap {agreement:.2f} with {len(others)} other annotation(s)"
                yield Doubt(item, 1 - agreement, detail)


REASON = Reason("annotator-disagreement", "annotators of this task do not agree", 0.8, check)
