"""How many reviews does the score save, and do the intervals cover? Simulated projects.

    python -m benchmarks.reviews_saved [--runs 400] [--seed 0]

A project has tasks with a hit or a miss each, and a score of a given AUROC (two normal
distributions). Reviews are drawn by the code of `videogem qa plan`, in rounds, and estimated by
that of `videogem qa estimate`; beside it the same number drawn uniformly, with Wilson's interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from backend.qa.estimates.plan import draw
from backend.qa.estimates.population import Population, Predicted
from backend.qa.estimates.project import estimate_population
from videogem.metrics import wilson_interval

ROUNDS = 3
HALF = 0.02  # of the interval that is asked for
COVERAGE = (
    # accuracy, AUROC, reviews
    (0.65, 0.85, 60), (0.65, 0.85, 300), (0.9, 0.85, 100), (0.9, 0.85, 400), (0.95, 0.9, 200),
    (0.5, 0.5, 100), (0.3, 0.9, 200), (0.65, 0.97, 100),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A simulated project: tasks with score, hit and video."""

    scores: dict[int, float | None]
    hits: dict[int, bool]
    videos: dict[int, int]

    @property
    def accuracy(self) -> float:
        return sum(self.hits.values()) / len(self.hits)


def world(
    tasks: int, accuracy: float, auroc: float, rng: np.random.Generator, *, per_video: int = 1,
    alike: float = 0.0,
) -> World:  # fmt: skip
    """Tasks whose score tells hits from misses with this AUROC.

    Of a video's tasks a share of about ``alike`` has the outcome of its first.
    """
    hits = rng.random(tasks) < accuracy
    video = np.arange(tasks) // per_video
    follow = rng.random(tasks) < alike
    hits = np.where(follow, hits[video * per_video], hits)
    from scipy.special import expit, ndtri

    shift = math.sqrt(2) * float(ndtri(auroc))
    scores = expit(rng.normal(size=tasks) + shift * hits)
    return World(
        dict(enumerate(scores.tolist())), dict(enumerate(hits.tolist())),
        dict(enumerate(video.tolist())),
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One simulated estimate."""

    reviews: int
    half_width: float
    covers: bool
    error: float


def by_plan(
    made: World, budget: int, seed: int, *, rounds: int = ROUNDS, until: float | None = None
) -> Outcome:
    """Review by plan, in rounds; ``until`` ends as soon as half the interval is that short."""
    known: dict[int, float] = {}
    plans = []
    for number in range(1, rounds + 1):
        size = round(budget * number / rounds) - len(known)
        plans.append(draw(made.scores, size, rounds=plans, hits=known, seed=seed + number))
        known |= {task: float(made.hits[task]) for tasks in plans[-1].chosen for task in tasks}
        if until is not None:
            found = estimate_population(_population(made, known), plans)[0]
            if found.half_width is not None and found.half_width <= until:
                break
    found = estimate_population(_population(made, known), plans)[0]
    return _outcome(made, found.accuracy, found.low, found.high, len(known))


def uniformly(made: World, budget: int, seed: int) -> Outcome:
    """Review tasks drawn without looking at the score."""
    chosen = np.random.default_rng(seed).choice(len(made.hits), budget, replace=False)
    hits = sum(made.hits[int(task)] for task in chosen)
    return _outcome(made, hits / budget, *wilson_interval(hits, budget), budget)


def by_video(made: World, videos: int, seed: int) -> Outcome:
    """Review whole videos, without a plan."""
    rng = np.random.default_rng(seed)
    chosen = set(rng.choice(len(set(made.videos.values())), videos, replace=False).tolist())
    known = {task: float(hit) for task, hit in made.hits.items() if made.videos[task] in chosen}
    found = estimate_population(_population(made, known), [])[0]
    return _outcome(made, found.accuracy, found.low, found.high, len(known))


def reviews_needed(
    auroc: float, *, accuracy: float, tasks: int, runs: int, seed: int, step: int = 50
) -> float:
    """Mean number of reviews, drawn by plan ``step`` at a time, until half the interval is at most
    `HALF`.
    """
    counts = []
    for run in range(runs):
        made = world(tasks, accuracy, auroc, np.random.default_rng([seed, run]))
        counts.append(by_plan(made, 60 * step, 100 * run, rounds=60, until=HALF).reviews)
    return float(np.mean(counts))


def _population(made: World, known: dict[int, float]) -> Population:
    tasks = [
        Predicted(task, score, 1, made.videos[task], known.get(task))
        for task, score in made.scores.items()
    ]
    return Population("m", tasks, {})


def _outcome(
    made: World, accuracy: float | None, low: float | None, high: float | None, reviews: int
) -> Outcome:
    if accuracy is None or low is None or high is None:
        raise ValueError(f"{reviews} reviews are too few for an estimate")
    truth = made.accuracy
    covers = low <= truth <= high
    return Outcome(reviews, (high - low) / 2, covers, accuracy - truth)


def coverage(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Share of the intervals that hold the truth, and the mean of half their length."""
    return (
        float(np.mean([one.covers for one in outcomes])),
        float(np.mean([one.half_width for one in outcomes])),
    )


def main(
    runs: Annotated[int, typer.Option(help="Simulated projects of each kind.")] = 400,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
) -> None:
    """Coverage of nominal 95 % intervals, and reviews needed for +- 2 %."""
    for accuracy, auroc, budget in COVERAGE:
        found = {"plan": [], "uniform": []}
        for run in range(runs):
            made = world(2000, accuracy, auroc, np.random.default_rng([seed, run]))
            found["plan"].append(by_plan(made, budget, 100 * run))
            found["uniform"].append(uniformly(made, budget, run))
        cells = [f"{name} {100 * c:.1f} % (+- {100 * h:.2f})" for name, (c, h) in
                 ((name, coverage(them)) for name, them in found.items())]  # fmt: skip
        typer.echo(f"accuracy {accuracy}, AUROC {auroc}, {budget} reviews: {', '.join(cells)}")


if __name__ == "__main__":
    typer.run(main)
