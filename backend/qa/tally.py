"""Shares and means of many groups at once, over score rows as columns (`table`). Pure.

They are what `figures` says of single ones: one predicted point is one sample, however many people
reviewed it, and intervals are over videos where tasks tell them, else over tasks.
"""

import math
from typing import Any

import numpy as np

from backend.qa.events import Row
from backend.qa.figures import NO_SHARE
from backend.qa.table import NONE, Table
from videogem.metrics import ratio_interval, share_interval

NO_MEAN: Row = {"n": 0, "mean": None, "low": None, "high": None, "median": None}


def share_of_rows(table: Table, holds: np.ndarray) -> Row:
    """Share of rows for which something holds (num_rows, bool), each row a sample."""
    return _one(_shares(np.zeros(len(table), np.int64), table["cluster"], holds))


def share_of_points(table: Table, verdict: np.ndarray) -> Row:
    """Share of predicted points or boxes with a verdict: 1, 0, or -1 for none (num_rows)."""
    return _one(shares_of_points(table, np.zeros(len(table), np.int64), verdict))


def pointing(table: Table) -> Row:
    """Pointing accuracy of the rows that have a hit or a miss."""
    return share_of_points(table, table["hit"])


def samples(table: Table, verdict: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The samples behind such a share: the last row of each point that has a verdict (num_points,)
    and whether it holds for most of its reviews (num_points, bool).
    """
    chosen = np.flatnonzero(verdict != NONE)
    holding, last = _each_point(table["point"][chosen], np.zeros(len(chosen), np.int64))
    hits = holding(verdict[chosen].astype(np.int64))
    reviews = holding(np.ones(len(chosen), np.int64))
    return chosen[last], 2 * hits >= reviews


def shares_of_points(table: Table, groups: np.ndarray, verdict: np.ndarray) -> dict[int, Row]:
    """The same of each group (num_rows, `NONE`: of none); groups without a verdict have none."""
    chosen = (verdict != NONE) & (groups != NONE)
    holding, samples = _each_point(table["point"][chosen], groups[chosen])
    hits = holding(verdict[chosen])
    reviews = holding(np.ones(len(verdict[chosen]), np.int64))
    clusters = table["cluster"][chosen][samples]
    return _shares(groups[chosen][samples], clusters, 2 * hits >= reviews)


def means_of_points(table: Table, groups: np.ndarray, name: str) -> dict[int, float]:
    """Mean by group of predicted points' means over their reviews."""
    group, _, values = _values_of_points(table, groups, name)
    if not len(group):
        return {}
    counts = np.bincount(group)
    sums = np.bincount(group, weights=values)
    return {int(g): float(sums[g] / counts[g]) for g in np.flatnonzero(counts)}


def mean_of_points(table: Table, name: str) -> Row:
    """Mean over predicted points of the mean over their reviews; its interval over videos."""
    _, clusters, values = _values_of_points(table, np.zeros(len(table), np.int64), name)
    return _mean(clusters, values)


def mean_of_rows(table: Table, name: str) -> Row:
    """Mean of what rows say, each standing alone; rows that say nothing are left out."""
    values = table[name][~np.isnan(table[name])]
    return _mean(np.arange(len(values)), values)


def _values_of_points(
    table: Table, groups: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group, cluster and mean over its reviews of every point that has a value."""
    chosen = ~np.isnan(table[name]) & (groups != NONE)
    summed, samples = _each_point(table["point"][chosen], groups[chosen])
    means = summed(table[name][chosen]) / summed(np.ones(int(chosen.sum()), np.int64))
    return groups[chosen][samples], table["cluster"][chosen][samples], means


def _each_point(points: np.ndarray, groups: np.ndarray) -> tuple[Any, np.ndarray]:
    """How to sum rows by point and group, and the last row of each."""
    if not len(points):
        return (lambda values: values), np.zeros(0, np.int64)
    if np.bincount(points).max() == 1:  # reviewed once each: rows are points
        return (lambda values: values), np.arange(len(points))
    order = np.argsort(groups.astype(np.int64) * (points.max() + 1) + points, kind="stable")
    by_point, by_group = points[order], groups[order]
    starts = np.flatnonzero(
        np.r_[True, (by_point[1:] != by_point[:-1]) | (by_group[1:] != by_group[:-1])]
    )
    last = order[np.r_[starts[1:], len(order)] - 1]
    return (lambda values: np.add.reduceat(values[order], starts)), last


def _shares(groups: np.ndarray, clusters: np.ndarray, holds: np.ndarray) -> dict[int, Row]:
    """The share of samples for which something holds, by group."""
    if not len(groups):
        return {}
    width = int(clusters.max()) + 1
    keys, cluster = np.unique(groups.astype(np.int64) * width + clusters, return_inverse=True)
    group, sizes = keys // width, np.bincount(cluster)
    hits = np.bincount(cluster, weights=holds).astype(np.int64)
    # How many clusters of each size and number of hits a group has is all that counts.
    base = int(sizes.max()) + 1
    kinds, times = np.unique((group * base + hits) * base + sizes, return_counts=True)
    found: dict[int, dict[tuple[int, int], int]] = {}
    for kind, count in zip(kinds.tolist(), times.tolist(), strict=True):
        kind, size = divmod(kind, base)
        number, hit = divmod(kind, base)
        found.setdefault(number, {})[hit, size] = count
    return {number: _share(counts) for number, counts in found.items()}


def _share(counts: dict[tuple[int, int], int]) -> Row:
    hits = sum(total * count for (total, _), count in counts.items())
    n = sum(size * count for (_, size), count in counts.items())
    low, high = share_interval(counts)
    return {"n": n, "hits": hits, "accuracy": hits / n, "low": low, "high": high,
            "clusters": sum(counts.values())}  # fmt: skip


def _one(shares: dict[int, Row]) -> Row:
    return shares.get(0, {**NO_SHARE})


def _mean(clusters: np.ndarray, values: np.ndarray) -> Row:
    if not len(values):
        return {**NO_MEAN}
    _, cluster = np.unique(clusters, return_inverse=True)
    sizes, sums = np.bincount(cluster), np.bincount(cluster, weights=values)
    several = len(sizes) > 1
    low, high = ratio_interval(sums, sizes, np.ones_like(sizes)) if several else (None, None)
    return {
        "n": len(values),
        "mean": math.fsum(values.tolist()) / len(values),
        "low": low,
        "high": high,
        "median": float(np.median(values)),
    }
