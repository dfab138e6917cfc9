"""The model is sure of its point, and it lies outside."""

import math
from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason, misses

NEAREST = 0.005  # of the diagonal: less is the thickness of a hand-drawn side


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    scores = sorted(item.score for item in items if item.score is not None)
    sure = scores[len(scores) // 4] if scores else math.inf  # more than its least sure quarter
    if scores and scores[0] >= 0 and scores[-1] <= 1:
        sure = max(sure, 0.5)
    for item, away in misses(items):
        if item.score is not None and item.score >= sure and away >= NEAREST:
            detail = f"score {item.score:.2f}, {100 * away:.0f} % of the diagonal outside"
            yield Doubt(item, min(1.0, 4 * away), detail)


REASON = Reason("confident-miss", "the model is sure and points outside the box", 0.6, check)
