"""Draw the tasks that should be reviewed next, keep the draw, and show it in Label Studio."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.database.keys import ProjectKey
from backend.qa.estimates.plan import Round, draw
from backend.qa.estimates.population import Population, read_population
from backend.qa.estimates.project import complete_rounds
from backend.qa.estimates.rounds import keep, plans
from backend.qa.estimates.tabs import Api, write_tab
from backend.qa.store import Store
from videogem.errors import InputError


@dataclass(frozen=True)
class ReviewPlan:
    """One round: its tasks in an order that says nothing, and how many each stratum gave."""

    tasks: list[int]
    strata: list[int]
    number: int  # of the round, from 1
    model_version: str
    reviewed_already: int  # of these tasks, without a prediction in sight


def plan_reviews(
    store: Store,
    project: ProjectKey,
    budget: int,
    *,
    model_version: str | None = None,
    seed: int | None = None,
    is_trial: bool = False,
) -> ReviewPlan:
    """Draw up to ``budget`` tasks and keep the draw; a trial keeps nothing.

    Raises:
        InputError: nothing was predicted, all was drawn, or the last round is not reviewed yet:
            what it found decides where to look next.
    """
    if budget < 1:
        raise InputError(f"A plan needs a budget of at least one task, got {budget}.")
    population = read_population(store, project, model_version)
    rounds = plans(store, project, population.model_version)
    _check(population, rounds)
    hits = {
        task.id: task.hits / task.points
        for task in population.tasks
        if task.hits is not None and any(task.id in stratum for one in rounds
                                         for stratum in one.chosen)
    }  # fmt: skip
    one = draw(
        {task.id: task.score for task in population.tasks},
        budget,
        rounds=rounds,
        hits=hits,
        seed=secrets.randbits(32) if seed is None else seed,
    )
    tasks = one.tasks()
    if not tasks:
        raise InputError(f"All {len(population.tasks)} tasks were drawn by earlier plans.")
    if not is_trial:
        keep(store, project, "plan", population.model_version, _body(one))
    reviewed = {task.id for task in population.tasks if task.hits is not None}
    return ReviewPlan(
        tasks=tasks,
        strata=[len(stratum) for stratum in one.chosen],
        number=len(rounds) + 1,
        model_version=population.model_version,
        reviewed_already=len(reviewed & set(tasks)),
    )


def _check(population: Population, rounds: Sequence[Round]) -> None:
    if not population.tasks:
        raise InputError("Nothing was predicted in this project yet, so there is nothing to draw.")
    done = complete_rounds(population.tasks, rounds)
    if len(done) < len(rounds):
        last = rounds[len(done)].tasks()
        reviewed = {task.id for task in population.tasks if task.hits is not None}
        raise InputError(
            f"Of the {len(last)} tasks of round {len(done) + 1}, {len(reviewed & set(last))} are "
            "reviewed without a prediction in sight. Review nine tenths of them first: what they "
            "show decides where to look next. `videogem qa plan --again` shows them once more."
        )


def last_plan(store: Store, project: ProjectKey, model_version: str | None = None) -> ReviewPlan:
    """The last round that was drawn.

    Raises:
        InputError: there is none.
    """
    population = read_population(store, project, model_version)
    rounds = plans(store, project, population.model_version)
    if not rounds:
        raise InputError("No plan was drawn yet; `videogem qa plan --budget 100` draws one.")
    tasks = rounds[-1].tasks()
    reviewed = {task.id for task in population.tasks if task.hits is not None}
    return ReviewPlan(
        tasks=tasks,
        strata=[len(stratum) for stratum in rounds[-1].chosen],
        number=len(rounds),
        model_version=population.model_version,
        reviewed_already=len(reviewed & set(tasks)),
    )


def show_in_tab(api: Api, project: int, plan: ReviewPlan) -> None:
    """Make a tab of Label Studio's data manager that shows the tasks of a plan.

    Raises:
        LabelStudioError: Label Studio refused or cannot be reached.
    """
    write_tab(api, project, f"Review plan {plan.number}", plan.tasks)


def _body(one: Round) -> dict[str, Any]:
    return {"edges": one.edges, "members": one.members, "chosen": one.chosen}
