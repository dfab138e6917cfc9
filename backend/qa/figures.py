"""Shares and means over score rows, each with its n and interval. Pure."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from backend.qa.events import Row
from videogem.metrics import wilson_interval


def share(hits: int, n: int) -> Row:
    """``hits`` of ``n`` with the Wilson 95 % interval; no figures at n = 0."""
    if n == 0:
        return {"n": 0, "hits": 0, "accuracy": None, "low": None, "high": None}
    low, high = wilson_interval(hits, n)
    return {"n": n, "hits": hits, "accuracy": hits / n, "low": low, "high": high}


def pointing(rows: Iterable[Row]) -> Row:
    """Pointing accuracy of the rows that have a hit or a miss."""
    hits = [bool(row["hit"]) for row in rows if row.get("hit") is not None]
    return share(sum(hits), len(hits))


def mean(values: Iterable[float | None]) -> Row:
    """Mean with n and its 95 % interval (normal; None where one value or none)."""
    known = [v for v in values if v is not None]
    if not known:
        return {"n": 0, "mean": None, "low": None, "high": None, "median": None}
    average = math.fsum(known) / len(known)
    middle = sorted(known)[len(known) // 2]
    if len(known) < 2:
        return {"n": 1, "mean": average, "low": None, "high": None, "median": middle}
    variance = math.fsum((v - average) ** 2 for v in known) / (len(known) - 1)
    half = 1.959964 * math.sqrt(variance / len(known))
    return {
        "n": len(known),
        "mean": average,
        "low": average - half,
        "high": average + half,
        "median": middle,
    }


def group(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Any, list[Row]]:
    """Rows by key; rows without one are left out."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        name = key(row)
        if name not in (None, ""):
            groups[name].append(row)
    return dict(groups)


def macro(rows: Sequence[Row], name: str = "label") -> float | None:
    """Mean of the accuracies by label, each label counting the same."""
    figures = [pointing(part)["accuracy"] for part in group(rows, lambda r: r.get(name)).values()]
    known = [figure for figure in figures if figure is not None]
    return math.fsum(known) / len(known) if known else None
