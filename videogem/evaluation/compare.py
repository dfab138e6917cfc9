"""Whether one run is better than another, on the items both answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from videogem.evaluation import Outcome


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same items; differences are the first's accuracy minus the second's."""

    first: str
    second: str
    n: int
    only_first: int  # items only the first hits
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float  # McNemar's exact test, two-sided
    level: float = 0.05

    @property
    def better(self) -> str | None:
        """The run that is better at the level, or None: the data do not tell."""
        if self.n == 0 or self.p_value >= self.level or self.low <= 0 <= self.high:
            return None
        return self.first if self.difference > 0 else self.second

    def sentence(self) -> str:
        """The verdict in words."""
        figures = (
            f"{100 * self.difference:+.1f} points "
            f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}], n = {self.n}, "
            f"only one right: {self.only_first} / {self.only_second}, p = {self.p_value:.2g}"
        )
        if self.better is None:
            return f"{self.first} against {self.second}: no difference shown ({figures})"
        other = self.second if self.better == self.first else self.first
        return f"{self.better} is better than {other} ({figures})"


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value: the items that differ are fair coin tosses if neither is better.

    >>> mcnemar_p_value(1, 9)
    0.021484375
    """
    n = only_first + only_second
    smaller = min(only_first, only_second)
    tail, ways = 0, 1
    for k in range(smaller + 1):  # exact in integers, each binomial coefficient from the last
        tail += ways
        ways = ways * (n - k) // (k + 1)
    return float(min(Fraction(1), Fraction(2 * tail, 2**n)))


def compare(
    first: Sequence[Outcome],
    second: Sequence[Outcome],
    *,
    names: tuple[str, str],
    clusters: Mapping[str, str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two runs item by item.

    The interval is a bootstrap over items, or over ``clusters`` (item id to video), because frames
    of one video are alike and an interval over frames alone would be too narrow.
    """
    other = {outcome.id: outcome.hit for outcome in second}
    pairs = [(o.id, o.hit, other[o.id]) for o in first if o.id in other]
    only_first = sum(a and not b for _, a, b in pairs)
    only_second = sum(b and not a for _, a, b in pairs)
    n = len(pairs)
    if n == 0:
        return Comparison(*names, 0, 0, 0, 0.0, 0.0, 0.0, 1.0)
    low, high = _bootstrap(pairs, clusters or {}, resamples, seed)
    return Comparison(
        *names,
        n=n,
        only_first=only_first,
        only_second=only_second,
        difference=(only_first - only_second) / n,
        low=low,
        high=high,
        p_value=mcnemar_p_value(only_first, only_second),
    )


def _bootstrap(
    pairs: Sequence[tuple[str, bool, bool]], clusters: Mapping[str, str], resamples: int, seed: int
) -> tuple[float, float]:
    names = [clusters.get(id_, id_) for id_, _, _ in pairs]
    _, groups = np.unique(names, return_inverse=True)
    sums = np.bincount(groups, weights=[float(a) - float(b) for _, a, b in pairs])
    sizes = np.bincount(groups)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for index in range(resamples):
        drawn = rng.integers(0, len(sums), size=len(sums))
        means[index] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
