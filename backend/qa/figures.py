"""Shares and means of single samples with their interval, and what a sample is. Pure.

One predicted point is one sample, however many people reviewed it: it hits when it does in at least
half of the reviews. Frames of one video are alike, so intervals are over videos where the task
tells which video it is of, else over tasks (`videogem.metrics.Clusters`).
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from backend.qa.events import Row
from videogem.metrics import Clusters, wilson_interval

NO_SHARE: Row = {"n": 0, "hits": 0, "accuracy": None, "low": None, "high": None}


def share(hits: int, n: int) -> Row:
    """``hits`` of ``n`` that stand alone, with the Wilson 95 % interval; no figures at n = 0."""
    if n == 0:
        return {**NO_SHARE}
    low, high = wilson_interval(hits, n)
    return {"n": n, "hits": hits, "accuracy": hits / n, "low": low, "high": high}


def holds_for_most(reviews: Sequence[bool]) -> bool:
    """What several reviews of one point say together: at least half of them."""
    return 2 * sum(reviews) >= len(reviews)


def point_of(row: Row) -> Hashable:
    """What is predicted: the same for every review of it."""
    names = ("server", "task_id", "model_version", "kind", "item", "place")
    return tuple(row[name] for name in names)


def cluster_of(row: Row) -> Hashable:
    """The video that a row is of where the task tells, else its task."""
    return row["server"], row.get("told_video") or row["task_id"]


def mean(values: Iterable[float | None]) -> Row:
    """Mean of values that stand alone, with n and its 95 % interval (None for fewer than two)."""
    return _mean_over((k, v) for k, v in enumerate(values) if v is not None)


def _mean_over(values: Iterable[tuple[Hashable, float]]) -> Row:
    counted = Clusters()
    known = []
    for cluster, value in values:
        counted.add(cluster, value)
        known.append(value)
    if not known:
        return {"n": 0, "mean": None, "low": None, "high": None, "median": None}
    low, high = counted.mean_interval() if len(counted) > 1 else (None, None)
    return {
        "n": len(known),
        "mean": math.fsum(known) / len(known),
        "low": low,
        "high": high,
        "median": statistics.median(known),
    }


def group(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Any, list[Row]]:
    """Rows by key; rows without one are left out."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        name = key(row)
        if name not in (None, ""):
            groups[name].append(row)
    return dict(groups)
