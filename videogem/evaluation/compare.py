"""Whether one run is better than another, on the items both answered.

Frames of one video are alike, so the test and the interval are over videos. Several comparisons
are corrected together (Holm), over all pairs where the best run is chosen after looking, or over
those with a reference that was named before. A verdict needs at least `MIN_CLUSTERS` videos.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations

import numpy as np

from videogem.errors import InputError
from videogem.evaluation import Outcome
from videogem.metrics import MIN_CLUSTERS, difference_interval


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same items; differences are the first's accuracy minus the second's."""

    first: str
    second: str
    n: int
    num_clusters: int  # videos, or items that stand alone
    only_first: int  # items only the first hits
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float  # sign-flip test over videos, two-sided, of this comparison alone
    adjusted: float  # the same with Holm's correction for all comparisons made
    num_comparisons: int = 1
    level: float = 0.05

    @property
    def better(self) -> str | None:
        """The run that is better at the level, or None: the data do not tell."""
        if self.num_clusters < MIN_CLUSTERS or self.adjusted >= self.level:
            return None
        if self.low <= 0 <= self.high:
            return None
        return self.first if self.difference > 0 else self.second

    def sentence(self) -> str:
        """The verdict in words."""
        over = "" if self.num_clusters == self.n else f" in {self.num_clusters} videos"
        corrected = (
            "" if self.num_comparisons == 1 else f", corrected for {self.num_comparisons} pairs"
        )
        figures = (
            f"{100 * self.difference:+.1f} points "
            f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}], n = {self.n}{over}, "
            f"only one right: {self.only_first} / {self.only_second}, "
            f"p = {self.adjusted:.2g}{corrected}"
        )
        if self.num_clusters < MIN_CLUSTERS:
            return (
                f"{self.first} against {self.second}: too few videos to tell, "
                f"{MIN_CLUSTERS} are needed ({figures})"
            )
        if self.better is None:
            return f"{self.first} against {self.second}: no difference shown ({figures})"
        other = self.second if self.better == self.first else self.first
        return f"{self.better} is better than {other} ({figures})"


def compare_runs(
    runs: Mapping[str, Sequence[Outcome]], reference: str | None = None
) -> list[Comparison]:
    """One run against each other one, by name: the reference, or else the best.

    A reference is named before looking, so only the comparisons with it are corrected for. The
    best is chosen by looking: then all pairs are.

    Raises:
        InputError: there is no run of the reference's name.
    """
    if reference is not None and reference not in runs:
        raise InputError(
            f"There is no run '{reference}' to compare with; there are {', '.join(runs)}."
        )
    if len(runs) < 2:
        return []
    first = reference if reference is not None else max(runs, key=lambda name: _hits(runs[name]))
    others = [name for name in runs if name != first]
    pairs = [(first, other) for other in others]
    if reference is None:
        pairs += combinations(others, 2)
    p_values = holm([sign_flip_p_value(_sums(runs[a], runs[b])) for a, b in pairs])
    return [
        replace(
            compare(runs[first], runs[other], names=(first, other)),
            adjusted=adjusted,
            num_comparisons=len(pairs),
        )
        for other, adjusted in zip(others, p_values, strict=False)  # those with the first
    ]


def _hits(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.hit for outcome in outcomes) / max(1, len(outcomes))


def compare(
    first: Sequence[Outcome], second: Sequence[Outcome], *, names: tuple[str, str]
) -> Comparison:
    """Compare two runs item by item, on the items both answered."""
    by_cluster = _differences(first, second)
    values = [value for cluster in by_cluster for value in cluster]
    sums = [sum(cluster) for cluster in by_cluster]
    sizes = [len(cluster) for cluster in by_cluster]
    low, high = difference_interval(sums, sizes) if len(sizes) > 1 else (-1.0, 1.0)
    p_value = sign_flip_p_value(sums)
    return Comparison(
        *names,
        n=len(values),
        num_clusters=len(sizes),
        only_first=values.count(1),
        only_second=values.count(-1),
        difference=sum(values) / max(1, len(values)),
        low=low,
        high=high,
        p_value=p_value,
        adjusted=p_value,
    )


def _differences(first: Sequence[Outcome], second: Sequence[Outcome]) -> list[list[int]]:
    """Per cluster, of every item both answered: 1 if only the first hits, -1 if only the second."""
    other = {outcome.id: outcome.hit for outcome in second}
    found: dict[str, list[int]] = {}
    for outcome in first:
        if outcome.id in other:
            difference = int(outcome.hit) - int(other[outcome.id])
            found.setdefault(outcome.cluster, []).append(difference)
    return list(found.values())


def _sums(first: Sequence[Outcome], second: Sequence[Outcome]) -> list[int]:
    return [sum(cluster) for cluster in _differences(first, second)]


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that any false verdict at all is rare.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Source: Holm, Scand. J. Stat. 6 (1979).
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def sign_flip_p_value(sums: Sequence[int]) -> float:
    """Two-sided exact p-value of the sum, if each cluster's difference is as likely turned round.

    With one item a cluster this is McNemar's exact test.

    >>> sign_flip_p_value([1, 1, 1, 1, 1, 1, 1, 1, 1, -1])
    0.021484375
    >>> sign_flip_p_value([3, 2, -1])
    0.5

    Source: Fisher, The Design of Experiments (1935), section 21.
    """
    sizes = [abs(value) for value in sums if value]
    if all(size == 1 for size in sizes):
        return _coin_tosses(sum(value > 0 for value in sums), len(sizes))
    reach = sum(sizes)
    chances: np.ndarray = np.zeros(2 * reach + 1)  # of every sum from -reach to reach
    chances[reach] = 1.0
    for size in sizes:
        turned = np.zeros_like(chances)
        turned[size:] += chances[:-size]
        turned[:-size] += chances[size:]
        chances = turned / 2
    observed = abs(sum(sums))
    distances = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chances[distances >= observed].sum()))


def _coin_tosses(heads: int, n: int) -> float:
    """Two-sided p-value of a fair coin, exact in integers."""
    smaller = min(heads, n - heads)
    tail, ways = 0, 1
    for k in range(smaller + 1):  # each binomial coefficient from the last
        tail += ways
        ways = ways * (n - k) // (k + 1)
    return float(min(Fraction(1), Fraction(2 * tail, 2**n)))
