"""Pointing accuracy as it grew, point by point."""

import numpy as np

from backend.qa.events import Row
from backend.qa.table import NONE, Table
from videogem.metrics import share_interval

SMALL_N = 10  # figures on fewer samples are shown greyed
ROLLING = 50  # points in the rolling window
MOST_CURVE_POINTS = 400


def curve(counted: Table) -> list[Row]:
    """Accuracy after each judged point: over all so far, and over the last ``ROLLING``.

    A point stands where it was first judged; later reviews of it change what is said of it.
    """
    judged = counted.take(counted["hit"] != NONE)
    if not len(judged):
        return []
    _, first, point = np.unique(judged["point"], return_index=True, return_inverse=True)
    _, cluster = np.unique(judged["cluster"], return_inverse=True)
    by_age = np.argsort(first, kind="stable")  # points by their first review
    known = np.sort(first)
    of_point = np.zeros(len(first), np.int64)
    of_point[point] = cluster
    hits, reviews = np.zeros(len(first), np.int64), np.zeros(len(first), np.int64)
    totals = np.zeros((2, int(cluster.max()) + 1), np.int64)  # hits and samples of each cluster
    points: list[Row] = []
    step = max(1, len(judged) // MOST_CURVE_POINTS)
    ends = list(range(step, len(judged) + 1, step))
    for start, end in zip([0, *ends], [*ends, len(judged)], strict=True):
        if start == end:
            continue
        rows = slice(start, end)
        touched = np.unique(point[rows])
        before = _held(hits, reviews, touched)
        np.add.at(hits, point[rows], judged["hit"][rows])
        np.add.at(reviews, point[rows], 1)
        after = _held(hits, reviews, touched)
        np.add.at(totals[0], of_point[touched], after - before)
        n = int(np.searchsorted(known, end))
        np.add.at(totals[1], of_point[by_age[(points[-1]["n"] if points else 0) : n]], 1)
        if points and points[-1]["n"] == n:
            points.pop()
        recent = by_age[max(0, n - ROLLING) : n]
        low, high = share_interval(_counts(totals))
        points.append(
            {
                "n": n,
                "accuracy": int(totals[0].sum()) / n,
                "low": low,
                "high": high,
                "at": judged["at"][end - 1].decode("ascii"),
                "rolling": (
                    int(_held(hits, reviews, recent).sum()) / len(recent) if n >= SMALL_N else None
                ),
            }
        )
    return points


def _held(hits: np.ndarray, reviews: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which of some points hit, for at least half of their reviews until now; 0 without any."""
    found: np.ndarray = ((2 * hits[points] >= reviews[points]) & (reviews[points] > 0)).astype(
        np.int64
    )
    return found


def _counts(totals: np.ndarray) -> dict[tuple[int, int], int]:
    """How many clusters there are of each number of hits and samples."""
    base = int(totals.max()) + 1
    keys = totals[0] * base + totals[1]
    if base <= 64:  # few kinds: counting is quicker than sorting
        counts = np.bincount(keys)
        kinds = np.flatnonzero(counts)
        times = counts[kinds]
    else:
        kinds, times = np.unique(keys, return_counts=True)
    return {
        divmod(kind, base): count
        for kind, count in zip(kinds.tolist(), times.tolist(), strict=True)
        if kind
    }
