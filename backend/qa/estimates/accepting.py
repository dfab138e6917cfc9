"""Bulk acceptance in one project: finding a rule, following it, watching it, ending it."""

import logging
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.qa.estimates import bulk
from backend.qa.estimates.acceptance import Reviewed, Threshold, accept_from
from backend.qa.estimates.plan import drawn
from backend.qa.estimates.population import Population, Predicted, read_population
from backend.qa.estimates.project import complete_rounds, video_numbers
from backend.qa.estimates.rounds import plans
from backend.qa.estimates.rules import (
    ACTIVE,
    ENDED,
    WITHDRAWN,
    Rule,
    Taken,
    change_rule,
    counts,
    held,
    look_number,
    make_rule,
    rules,
    take,
    taken,
)
from backend.qa.estimates.spot_checks import is_checked, is_contradicted
from backend.qa.estimates.tabs import write_tab
from backend.qa.events import Row
from backend.qa.queries import of_project
from backend.qa.store import Store
from videogem.errors import InputError
from videogem.metrics import wilson_interval

logger = logging.getLogger(__name__)
SHARE = 0.1  # of what a rule takes, that people check


@dataclass(frozen=True)
class Look:
    """What reviews say of a threshold, before anything is accepted."""

    found: Threshold
    number: int
    basis: str  # "plan" or "independent"
    population: Population
    fresh: list[int]  # tasks that the rule would take


def look(
    store: Store,
    project: ProjectKey,
    *,
    precision: float,
    confidence: float,
    model_version: str | None = None,
) -> Look:
    """Find the least score to accept, and count the look: seeing the answer is what costs.

    Raises:
        InputError: precision or confidence is not between 0 and 1, or nothing was predicted.
    """
    for name, value in (("--precision", precision), ("--confidence", confidence)):
        if not 0 < value < 1:
            raise InputError(f"{name} must be between 0 and 1, such as 0.95, got {value:g}.")
    population = read_population(store, project, model_version)
    if not population.tasks:
        raise InputError(
            "Nothing was predicted in this project yet, so there is nothing to accept."
        )
    version = population.model_version
    covered, reviewed, basis = _reviewed(store, project, population)
    right = {
        task.id: bool(one)
        for task, one in zip(covered, reviewed.right.tolist(), strict=True)
        if not math.isnan(one)
    }
    seen = {"precision": precision, "confidence": confidence, "right": sorted(right.items())}
    number = look_number(store, project, version, seen)
    earlier = rules(store, project, version)
    above = max((r.least_score for r in earlier if r.state == WITHDRAWN), default=-math.inf)
    found = accept_from(
        reviewed, precision=precision, confidence=confidence, look=number, above=above
    )
    least = math.inf if found.least_score is None else found.least_score
    fresh = _fresh(store, project, population, least, earlier)
    return Look(found, number, basis, population, sorted(fresh))


def start_rule(
    store: Store, project: ProjectKey, seen: Look, *, precision: float, confidence: float,
    share: float = SHARE,
) -> Rule:  # fmt: skip
    """Put the threshold that a look found in force.

    Raises:
        InputError: the share is not between 0 and 1, or the look found none.
    """
    check_share(share)
    if seen.found.least_score is None:
        raise InputError(f"No threshold can be given: {seen.found.reason}.")
    return make_rule(
        store, project, seen.population.model_version,
        least_score=seen.found.least_score, precision=precision, confidence=confidence,
        look=seen.number, basis=seen.basis, tested=seen.found.tested, wrong=seen.found.wrong,
        share=share, seed=secrets.randbits(32),
    )  # fmt: skip


def check_share(share: float) -> None:
    """Refuse a share of spot checks that checks nothing or accepts nothing."""
    if not 0 < share < 1:
        raise InputError(
            f"--check must be a share between 0 and 1, such as 0.1, got {share:g}: without checks "
            "nobody would notice that a rule no longer holds."
        )


def last_rule(
    store: Store, project: ProjectKey, version: str | None, *, has_made: bool
) -> Rule:  # fmt: skip
    """The rule that is to be ended: the one in force, or the last that has accepted something.

    Raises:
        InputError: there is none.
    """
    for rule in reversed(rules(store, project, version)):
        if rule.state == ACTIVE or (has_made and taken(store, rule, Taken.made, Taken.wanted)):
            return rule
    raise InputError(
        "There is no rule in force" + (", and none has accepted anything." if has_made else ".")
    )


def active_rule(store: Store, project: ProjectKey, version: str | None) -> Rule | None:
    """The rule in force, of a version or of the one that most tasks have."""
    version = version or read_population(store, project).model_version
    return next((r for r in rules(store, project, version) if r.state == ACTIVE), None)


def follow(
    store: Store, api: bulk.Api, project: ProjectKey, rule: Rule, told: bulk.Told
) -> tuple[Rule, int]:
    """Take what came since by a rule in force: accept it, and leave a share to people in a tab.

    Returns the rule as it is then, and how many predictions were accepted.

    Raises:
        LabelStudioError: not reachable, or it refused; the next time goes on from there.
    """
    population = read_population(store, project, rule.model_version)
    found = rules(store, project, rule.model_version)
    own = {row["task_id"] for row in taken(store, rule)}  # whatever became of them
    fresh = _fresh(store, project, population, rule.least_score, found) - own
    states = {
        task: Taken.check if is_checked(rule.seed, task, rule.share) else Taken.wanted
        for task in sorted(fresh)
    }
    take(store, rule, states)
    checks = [row["task_id"] for row in taken(store, rule, Taken.check)]
    if checks:
        view = write_tab(api, project.id, f"Spot checks {rule.id}", checks, rule.view)
        if view != rule.view:
            rule = replace(rule, view=view)
            change_rule(store, rule)
    return rule, bulk.accept_wanted(store, api, project, rule, told)


def end(
    store: Store, api: bulk.Api | None, project: ProjectKey, rule: Rule, told: bulk.Told
) -> Rule:
    """Switch a rule off; with an API, also take back what it made and nobody touched."""
    if rule.state == ACTIVE:
        rule = replace(rule, state=ENDED, reason="ended by hand")
        change_rule(store, rule)
    if api is not None:
        bulk.take_back(store, api, project, rule, told)
    return rule


def watch(store: Store, project: ProjectKey) -> list[Row]:
    """The rules of a project with what their spot checks say; those that these contradict are
    withdrawn, and it is logged.
    """
    found = []
    for rule in rules(store, project):
        checks = {row["task_id"] for row in taken(store, rule, Taken.check)}
        tasks = read_population(store, project, rule.model_version).tasks if checks else []
        done = [_is_right(task) for task in tasks if task.id in checks and task.hits is not None]
        wrong = done.count(False)
        if rule.state == ACTIVE and is_contradicted(wrong, len(done), 1 - rule.precision):
            rule = _withdraw(store, project, rule, wrong, len(done))
        low, high = wilson_interval(len(done) - wrong, len(done)) if done else (None, None)
        found.append(
            {
                "rule": rule.id, "state": rule.state, "reason": rule.reason or None,
                "created_at": rule.created_at, "model_version": rule.model_version,
                "least_score": rule.least_score, "precision": rule.precision,
                "confidence": rule.confidence, "look": rule.look, "basis": rule.basis,
                "tested": rule.tested, "wrong": rule.wrong, "tasks": counts(store, rule),
                "checks": {"done": len(done), "wrong": wrong, "of": len(checks),
                           "low": low, "high": high},
            }
        )  # fmt: skip
    return found


def _withdraw(store: Store, project: ProjectKey, rule: Rule, wrong: int, checked: int) -> Rule:
    reason = (
        f"{wrong} of {checked} spot checks found a miss, which contradicts that at least "
        f"{100 * rule.precision:g} % are right"
    )
    gone = replace(rule, state=WITHDRAWN, reason=reason)
    change_rule(store, gone)
    logger.warning(
        "project %d: the rule that accepts predictions of %s from a score of %.3f on is withdrawn: "
        "%s. `videogem qa accept --project %d --undo` takes back what it accepted and nobody "
        "touched.",
        project.id, rule.model_version, rule.least_score, reason, project.id,
    )  # fmt: skip
    return gone


def _reviewed(
    store: Store, project: ProjectKey, population: Population
) -> tuple[list[Predicted], Reviewed, str]:
    """The tasks that a threshold is sought for, their reviews, and how these came about."""
    rounds = complete_rounds(population.tasks, plans(store, project, population.model_version))
    seen = drawn(rounds)
    tasks = [t for t in population.tasks if not rounds or t.id in seen.strata]
    known = [t.hits is not None and (not rounds or t.id in seen.chosen) for t in tasks]
    right = [float(_is_right(t)) if k else np.nan for t, k in zip(tasks, known, strict=True)]
    return (
        tasks,
        Reviewed(
            scores=np.asarray([np.nan if t.score is None else t.score for t in tasks]),
            right=np.asarray(right),
            chances=np.asarray([seen.chances.get(t.id, 1.0) for t in tasks]),
            videos=video_numbers(tasks),
            is_drawn=bool(rounds),
        ),
        "plan" if rounds else "independent",
    )


def _is_right(task: Predicted) -> bool:
    """Whether all points of a reviewed task hit: it is accepted as a whole."""
    return task.hits is not None and task.hits > task.points - 1e-6


def _fresh(
    store: Store, project: ProjectKey, population: Population, least: float,
    found: Sequence[Rule],
) -> set[int]:  # fmt: skip
    """Tasks with at least this score that nobody has annotated and no rule holds."""
    annotations = schema.annotations
    query = sa.select(annotations.c.task_id).where(
        *of_project(annotations, project), annotations.c.deleted_at.is_(None)
    )
    with store.read() as connection:
        busy = set(connection.execute(query).scalars()) | held(store, found)
    return {
        task.id
        for task in population.tasks
        if task.score is not None and task.score >= least and task.id not in busy
    }
