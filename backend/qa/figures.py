"""Shares and means over score rows, each with its n and interval. Pure.

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


def clustered_share(outcomes: Iterable[tuple[Hashable, bool]]) -> Row:
    """Share of the outcomes that are true, its interval over their clusters."""
    counted = Clusters()
    for cluster, outcome in outcomes:
        counted.add(cluster, int(outcome))
    return of_clusters(counted)


def of_clusters(counted: Clusters) -> Row:
    """The share of hits in clusters, with how many of them there are."""
    if not len(counted):
        return {**NO_SHARE}
    low, high = counted.interval()
    hits, n = int(counted.hits), counted.samples
    return {"n": n, "hits": hits, "accuracy": hits / n, "low": low, "high": high,
            "clusters": len(counted)}  # fmt: skip


def pointing(rows: Iterable[Row]) -> Row:
    """Pointing accuracy of the rows that have a hit or a miss."""
    return share_of_points(rows, lambda row: row.get("hit"))


def share_of_points(rows: Iterable[Row], verdict: Callable[[Row], bool | None]) -> Row:
    """Share of predicted points (or boxes) with a verdict; None: it has none."""
    points: dict[Hashable, list[bool]] = defaultdict(list)
    clusters: dict[Hashable, Hashable] = {}
    for row in rows:
        found = verdict(row)
        if found is not None:
            point = point_of(row)
            points[point].append(bool(found))
            clusters[point] = cluster_of(row)
    return clustered_share(
        (clusters[point], holds_for_most(found)) for point, found in points.items()
    )


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


def mean_of_points(rows: Iterable[Row], name: str) -> Row:
    """Mean over predicted points of the mean over their reviews; its interval over videos."""
    points: dict[Hashable, list[float]] = defaultdict(list)
    clusters: dict[Hashable, Hashable] = {}
    for row in rows:
        value = row.get(name)
        if value is not None:
            point = point_of(row)
            points[point].append(value)
            clusters[point] = cluster_of(row)
    return _mean_over(
        (clusters[point], math.fsum(values) / len(values)) for point, values in points.items()
    )


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


def macro(rows: Sequence[Row], name: str = "label") -> float | None:
    """Mean of the accuracies by label, each label counting the same."""
    figures = [pointing(part)["accuracy"] for part in group(rows, lambda r: r.get(name)).values()]
    known = [figure for figure in figures if figure is not None]
    return math.fsum(known) / len(known) if known else None
