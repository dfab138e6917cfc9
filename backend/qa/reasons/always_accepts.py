"""An annotator who never changes anything."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason, grouped

ALWAYS_N, ALWAYS_SHARE = 20, 0.95


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for same in grouped(items, lambda item: item.annotator).values():
        judged = [item for item in same if item.accepted is not None]
        accepted = [item for item in judged if item.accepted]
        if len(judged) < ALWAYS_N or len(accepted) < ALWAYS_SHARE * len(judged):
            continue
        share = len(accepted) / len(judged)
        detail = f"this annotator accepted {len(accepted)} of {len(judged)} unchanged"
        for item in accepted:
            yield Doubt(item, share, detail)


REASON = Reason("always-accepts", "this annotator leaves every prediction as it is", 0.4, check)
