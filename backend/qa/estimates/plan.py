"""Which tasks to review next: drawn at random, more of them where they tell more. Pure.

Each round draws from every stratum of score without replacement. How many says Neyman's
allocation, from what earlier rounds found (`curve.hit_curve`, so that no stratum's luck decides
about its own reviews); a share of every round is spread evenly over all tasks, which keeps the
estimate honest where the score says little. What was drawn from what is kept, so that each task's
chance of having been drawn is known whatever tasks come later.

Source: Neyman, J. R. Stat. Soc. 97 (1934).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backend.qa.estimates.curve import Floats, edges_of, hit_curve, strata_of

STRATA = 10
EVEN_SHARE = 0.2  # of a round's budget
NO_SCORE = -1.0  # stands for a prediction without a score: a stratum of its own


@dataclass(frozen=True)
class Round:
    """One draw. Outer lists are strata by rising score, inner ones task ids."""

    edges: list[float]
    members: list[list[int]]  # tasks that no earlier round knew
    chosen: list[list[int]]  # in the order they were drawn

    def tasks(self) -> list[int]:
        """What was drawn, strata mixed in an order that says nothing."""
        drawn = [task for stratum in self.chosen for task in stratum]
        random.Random(len(drawn)).shuffle(drawn)
        return drawn


@dataclass(frozen=True)
class Drawn:
    """All rounds together."""

    strata: dict[int, int]  # of every task that could have been drawn
    chosen: set[int]
    chances: dict[int, float]  # of having been drawn in any round, by task


def draw(
    scores: Mapping[int, float | None],
    budget: int,
    *,
    rounds: Sequence[Round] = (),
    hits: Mapping[int, float] | None = None,
    seed: int = 0,
    even_share: float = EVEN_SHARE,
) -> Round:
    """Draw up to ``budget`` tasks that no earlier round drew.

    ``scores`` are those of all tasks' predictions; a task stays in the stratum that it was first
    put in. ``hits`` is the share of points that hit, of tasks whose review counts.

    Raises:
        ValueError: the budget or the share is out of its range.
    """
    if budget < 1:
        raise ValueError(f"a plan needs a budget of at least one task, got {budget}")
    if not 0 < even_share <= 1:
        raise ValueError(f"the even share must be in (0, 1], got {even_share}")
    rng = random.Random(seed)
    before = drawn(rounds)
    new = sorted(task for task in scores if task not in before.strata)
    edges = list(rounds[0].edges) if rounds else _edges([scores[task] for task in new])
    members: list[list[int]] = [[] for _ in range(len(edges) + 1)]
    stratum_of = dict(before.strata)
    found = strata_of(_numbers([scores[task] for task in new]), np.asarray(edges))
    for task, index in zip(new, found.tolist(), strict=True):
        members[index].append(task)
        stratum_of[task] = index
    left: list[list[int]] = [[] for _ in members]
    sizes = np.zeros(len(members))
    for task in sorted(stratum_of.keys() & scores.keys()):
        sizes[stratum_of[task]] += 1
        if task not in before.chosen:
            left[stratum_of[task]].append(task)
    free = np.asarray([len(tasks) for tasks in left], dtype=np.float64)
    reviews, hit = np.zeros(len(members)), np.zeros(len(members))
    for task, share in (hits or {}).items():
        if task in stratum_of:
            reviews[stratum_of[task]] += 1
            hit[stratum_of[task]] += share
    wanted = sizes if not reviews.sum() else _neyman(sizes, hit, reviews, even_share)
    counts = allocate(wanted, sizes - free, free, budget)
    chosen = [rng.sample(tasks, count) for tasks, count in zip(left, counts, strict=True)]
    return Round([float(edge) for edge in edges], members, chosen)


def drawn(rounds: Sequence[Round]) -> Drawn:
    """What these rounds drew, and each drawn task's chance of it.

    A round draws from all tasks of a stratum that are known by then and not drawn yet.
    """
    strata: dict[int, int] = {}
    chosen: set[int] = set()
    since: dict[int, int] = {}
    taken: list[list[float]] = []  # by round and stratum: share of the candidates
    for number, one in enumerate(rounds):
        for index, tasks in enumerate(one.members):
            strata.update(dict.fromkeys(tasks, index))
            since.update(dict.fromkeys(tasks, number))
        candidates = [0] * len(one.members)
        for task, index in strata.items():
            candidates[index] += task not in chosen
        taken.append(
            [len(tasks) / max(1, count)
             for tasks, count in zip(one.chosen, candidates, strict=True)]
        )  # fmt: skip
        chosen.update(task for tasks in one.chosen for task in tasks)
    chances = {}
    for task in chosen:
        missed = 1.0
        for shares in taken[since[task] :]:
            missed *= 1 - shares[strata[task]]
        chances[task] = 1 - missed
    return Drawn(strata, chosen, chances)


def allocate(wanted: Floats, done: Floats, free: Floats, budget: int) -> list[int]:
    """Share a budget among strata so that all reviews together come close to ``wanted``'s shares.

    ``done`` are reviews that strata have already and ``free`` tasks that are left; the counts sum
    to the budget, or to all that is left. Rounded by the largest remainders.
    """
    budget = min(budget, int(free.sum()))
    low, high = 0.0, 1.0
    if wanted.sum() <= 0:
        wanted = np.ones_like(wanted)
    total = float(done.sum() + budget)

    def counts(scale: float) -> Floats:
        exact = scale * total * wanted / wanted.sum() - done
        return np.asarray(np.clip(exact, 0, free), dtype=np.float64)

    while counts(high).sum() < budget - 1e-9 and high < 1e12:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if counts(middle).sum() < budget else (low, middle)
    exact = counts(high)
    whole = np.floor(exact + 1e-9)
    rest = budget - int(whole.sum())
    for index in np.argsort(-(exact - whole), kind="stable"):
        if rest <= 0:
            break
        if whole[index] < free[index]:
            whole[index] += 1
            rest -= 1
    return [int(count) for count in whole]


def _neyman(sizes: Floats, hits: Floats, reviews: Floats, even_share: float) -> Floats:
    chance = hit_curve(hits, reviews, np.maximum(sizes, 1e-9))
    spread = np.sqrt(chance * (1 - chance))
    mean = float((sizes * spread).sum() / max(1.0, sizes.sum()))
    return sizes * ((1 - even_share) * spread / mean + even_share)


def _edges(scores: Sequence[float | None]) -> list[float]:
    known = np.asarray([score for score in scores if score is not None], dtype=np.float64)
    edges = [float(edge) for edge in edges_of(known, STRATA)] if len(known) else []
    lowest = float(known.min()) if len(known) else 0.0
    return [lowest, *edges] if len(known) and len(known) < len(scores) else edges


def _numbers(scores: Sequence[float | None]) -> Floats:
    low = min((score for score in scores if score is not None), default=0.0)
    return np.asarray(
        [min(NO_SCORE, low - 1) if score is None else score for score in scores], dtype=np.float64
    )
