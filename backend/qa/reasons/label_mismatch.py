"""Two names for one thing."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import MANY, Doubt, Item, Reason, same_words


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    narrated = labels_follow_narration(items)
    named = [
        (item, item.label, said)
        for item in items
        if item.label and (said := _said(item, narrated=narrated))
    ]
    wrong = [each for each in named if not same_words(*each[1:])]
    if len(wrong) == len(named) >= MANY:
        return  # two vocabularies, not many mistakes
    for item, label, said in wrong:
        yield Doubt(item, 0.7, f"labelled {label!r}, predicted or narrated {said!r}")


def labels_follow_narration(items: Iterable[Item]) -> bool:
    """Where labels are actions, most of them share their words with the narration."""
    same = [same_words(i.label, i.narration) for i in items if i.label and i.narration]
    return bool(same) and sum(same) >= 0.5 * len(same)


def _said(item: Item, *, narrated: bool) -> str | None:
    """What the label should say."""
    return item.narration if narrated and item.narration is not None else item.predicted_label


REASON = Reason("label-mismatch", "the label is not what was predicted or narrated", 0.6, check)
