"""Two names for one thing."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import MANY, Doubt, Item, Reason, same_words


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    named = [item for item in items if item.label and item.predicted_label]
    wrong = [i for i in named if not same_words(i.label or "", i.predicted_label or "")]
    if len(wrong) == len(named) >= MANY:
        return  # two vocabularies, not many mistakes
    for item in wrong:
        detail = f"labelled {item.label!r}, predicted or narrated {item.predicted_label!r}"
        yield Doubt(item, 0.7, detail)


REASON = Reason("label-mismatch", "the label is not what was predicted or narrated", 0.6, check)
