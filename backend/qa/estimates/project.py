"""The estimate of one project: what it rests on, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.database.keys import ProjectKey
from backend.qa.estimates.curve import Floats, Ints, edges_of, strata_of
from backend.qa.estimates.estimate import Estimate, Reviews, estimate
from backend.qa.estimates.plan import NO_SCORE, STRATA, Drawn, Round, drawn
from backend.qa.estimates.population import Population, Predicted, read_population
from backend.qa.estimates.rounds import plans
from backend.qa.events import Row
from backend.qa.store import Store

COMPLETE = (
    0.9  # of a round's tasks: from then on those that are missing may count as left by chance
)
PER_STRATUM = 10  # reviews, where strata are made for what people reviewed by themselves


@dataclass(frozen=True)
class ProjectEstimate:
    """An estimate with what it rests on: ``basis`` is "plan" or "independent"."""

    found: Estimate
    basis: str
    population: Population
    not_covered: int  # tasks that came after the last round
    planned: int  # tasks drawn
    planned_reviewed: int

    def row(self) -> Row:
        """As JSON has it."""
        e, half = self.found, self.found.half_width
        return {
            "accuracy": e.accuracy,
            "low": e.low,
            "high": e.high,
            "half_width": half,
            "unknown": e.reason or None,
            "needed": e.needed,
            "basis": self.basis,
            "model_version": self.population.model_version,
            "tasks": e.tasks,
            "points": e.points,
            "reviewed": e.reviewed,
            "reviews": self.population.reviews,
            "reviews_for_2_percent": {
                "uniform": e.for_target_uniform, "planned": e.for_target_planned
            },
            "not_covered": self.not_covered,
            "planned": self.planned,
            "planned_reviewed": self.planned_reviewed,
            "other_versions": self.population.other_versions,
            "without_points": self.population.without_points,
        }  # fmt: skip


def estimate_project(
    store: Store, project: ProjectKey, model_version: str | None = None
) -> ProjectEstimate:
    """Accuracy of all that a project's model version predicted, reviewed or not.

    It rests on the tasks that a plan drew, once nine tenths of a round are reviewed, else on all
    tasks that people reviewed without seeing a prediction.
    """
    population = read_population(store, project, model_version)
    rounds = plans(store, project, population.model_version)
    found, basis, covered = estimate_population(population, rounds)
    chosen = drawn(rounds).chosen
    reviewed = {task.id for task in population.tasks if task.hits is not None}
    return ProjectEstimate(
        found=found,
        basis=basis,
        population=population,
        not_covered=len(population.tasks) - covered,
        planned=len(chosen),
        planned_reviewed=len(chosen & reviewed),
    )


def estimate_population(
    population: Population, rounds: Sequence[Round]
) -> tuple[Estimate, str, int]:
    """The estimate, its basis, and how many tasks it covers."""
    done = complete_rounds(population.tasks, rounds)
    if done:
        seen = drawn(done)
        covered = [task for task in population.tasks if task.id in seen.strata]
        return estimate(_drawn(covered, seen)), "plan", len(covered)
    return estimate(_found(population.tasks)), "independent", len(population.tasks)


def complete_rounds(tasks: Sequence[Predicted], rounds: Sequence[Round]) -> list[Round]:
    """The rounds up to the last one that is reviewed, but for a tenth of it.

    A round that is half done does not count: which half people did first is not known.
    """
    reviewed = {task.id for task in tasks if task.hits is not None}
    alive = {task.id for task in tasks}
    last = 0
    for number, one in enumerate(rounds, 1):
        chosen = alive & {task for stratum in one.chosen for task in stratum}
        if len(chosen & reviewed) < COMPLETE * len(chosen):
            break
        last = number
    return list(rounds[:last])


def _drawn(tasks: Sequence[Predicted], seen: Drawn) -> Reviews:
    def hits(task: Predicted) -> float:
        return np.nan if task.hits is None or task.id not in seen.chosen else task.hits

    return Reviews(
        strata=np.asarray([seen.strata[task.id] for task in tasks], dtype=np.int64),
        sizes=_sizes(tasks),
        hits=np.asarray([hits(task) for task in tasks], dtype=np.float64),
        weights=np.asarray(
            [1 / seen.chances.get(task.id, 1.0) for task in tasks], dtype=np.float64
        ),
        videos=video_numbers(tasks),
        is_drawn=True,
    )


def _found(tasks: Sequence[Predicted]) -> Reviews:
    known = sum(task.hits is not None for task in tasks)
    lowest = min((task.score for task in tasks if task.score is not None), default=0.0)
    scores = np.asarray(
        [min(NO_SCORE, lowest - 1) if task.score is None else task.score for task in tasks],
        dtype=np.float64,
    )
    most = max(1, min(STRATA, known // PER_STRATUM))
    edges = edges_of(scores, most) if len(scores) else np.zeros(0)
    return Reviews(
        strata=strata_of(scores, edges),
        sizes=_sizes(tasks),
        hits=np.asarray([np.nan if t.hits is None else t.hits for t in tasks], dtype=np.float64),
        weights=np.ones(len(tasks)),
        videos=video_numbers(tasks),
        is_drawn=False,
    )


def _sizes(tasks: Sequence[Predicted]) -> Floats:
    return np.asarray([task.points for task in tasks], dtype=np.float64)


def video_numbers(tasks: Sequence[Predicted]) -> Ints:
    """The video of each task as a number from 0."""
    numbers: dict[object, int] = {}
    return np.asarray([numbers.setdefault(t.video, len(numbers)) for t in tasks], dtype=np.int64)
