"""Which labels to look at again: suspects with a reason, ranked.

Pure; units of the items' canvas.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from backend.qa import reasons
from backend.qa.audit_items import Item, Reason
from videogem.modules import modules_of

AT_ONCE = 5000  # suspects that are sorted without a break


@dataclass(frozen=True, slots=True)
class Suspect:
    """One item under one reason."""

    id: str
    reason: str
    severity: float
    detail: str


@cache
def audit_reasons() -> Mapping[str, Reason]:
    """Every reason by its code, those that are right most often first."""
    found: list[Reason] = [module.REASON for module in modules_of(reasons)]
    return {one.code: one for one in sorted(found, key=lambda one: (-one.weight, one.code))}


def find_suspects(
    items: Sequence[Item], weights: Mapping[str, float] | None = None
) -> list[Suspect]:
    """All suspects, the most suspicious item first, each with all its reasons together.

    ``weights``, by code, stand for the reasons' own.
    """
    known = audit_reasons()
    found = [
        Suspect(doubt.item.id, reason.code, doubt.severity, doubt.detail)
        for reason in known.values()
        for doubt in reason.check(items)
    ]
    rank: dict[str, float] = defaultdict(lambda: 1.0)
    for suspect in found:
        weight = (weights or {}).get(suspect.reason, known[suspect.reason].weight)
        rank[suspect.id] *= 1 - min(0.99, weight * (0.5 + suspect.severity / 2))
    order = {code: place for place, code in enumerate(known)}
    return _sorted(found, key=lambda s: (rank[s.id], s.id, order[s.reason]))


def _sorted(found: list[Suspect], key: Callable[[Suspect], Any]) -> list[Suspect]:
    """Sorted as by ``sorted``, which lets no other thread run until it is done."""
    parts = [
        sorted(found[start : start + AT_ONCE], key=key) for start in range(0, len(found), AT_ONCE)
    ]
    return list(heapq.merge(*parts, key=key))


def count_reasons(suspects: Iterable[Suspect]) -> dict[str, int]:
    """Items per reason, in the reasons' order; those without any are left out."""
    counts = Counter(reason for _, reason in {(s.id, s.reason) for s in suspects})
    return {reason: counts[reason] for reason in audit_reasons() if counts[reason]}
