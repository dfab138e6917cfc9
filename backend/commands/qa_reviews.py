"""`videogem qa estimate` and `plan`: what few reviews say of all tasks, and which come next."""

import json
from typing import TYPE_CHECKING

import typer

from backend.commands.qa import commands
from backend.commands.support.quality_store import DATABASE_HELP, known_project, open_store

if TYPE_CHECKING:
    from backend.database.keys import ProjectKey
    from backend.label_studio.client import LabelStudio
    from backend.qa.estimates.project import ProjectEstimate
    from backend.qa.store import Store

PROJECT = typer.Option(help="Project: NUMBER or NUMBER@SERVER.")
VERSION = typer.Option(None, help="Of this version; default: the one most tasks have.")


def register(app: typer.Typer) -> None:
    """Add these to `videogem qa`."""
    for command in (estimate, plan):
        commands.command()(command)


def estimate(
    *,
    project: str = PROJECT,
    model_version: str | None = VERSION,
    database: str | None = typer.Option(None, help=DATABASE_HELP),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Accuracy of everything predicted in a project, reviewed or not, with its interval.

    Reviews count where the annotator saw no prediction, or the annotation is ground truth. Where
    they are too few it says 'unknown' and what is needed.
    """
    from backend.qa.estimates.project import estimate_project

    with open_store(database) as store:
        found = estimate_project(store, known_project(store, project), model_version)
    typer.echo(json.dumps(found.row()) if as_json else estimate_text(found))


def plan(
    *,
    project: str = PROJECT,
    budget: int = typer.Option(100, help="Tasks to draw."),
    model_version: str | None = VERSION,
    seed: int | None = typer.Option(None, help="Of the draw; default: a new one each time."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Draw, show, keep nothing."),
    again: bool = typer.Option(False, "--again", help="Show the last round instead of drawing."),
    tab: bool = typer.Option(False, "--tab", help="Also make a tab in Label Studio."),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Draw the tasks whose review tells most about all of them, at random within strata of score.

    They must be reviewed without a prediction in sight (Label Studio: switch off "Use predictions
    to prelabel tasks"). What was drawn with what chance is kept for `videogem qa estimate`.
    """
    from backend.qa.estimates.review_plan import last_plan, plan_reviews, show_in_tab

    with open_store(database) as store:
        key = known_project(store, project)
        api = label_studio_of(store, key) if tab and not dry_run else None
        found = (
            last_plan(store, key, model_version)
            if again
            else plan_reviews(
                store, key, budget, model_version=model_version, seed=seed, is_trial=dry_run
            )
        )
    if api is not None:
        show_in_tab(api, key.id, found)
    if as_json:
        typer.echo(json.dumps({"round": found.number, "tasks": found.tasks,
                               "strata": found.strata, "model_version": found.model_version,
                               "reviewed": found.reviewed_already}))  # fmt: skip
        return
    strata = ", ".join(map(str, found.strata))
    typer.echo(
        f"Round {found.number} of {found.model_version}: {len(found.tasks)} tasks, "
        f"{found.reviewed_already} of them reviewed already. From the lowest scores to the "
        f"highest: {strata}."
    )
    typer.echo(" ".join(map(str, found.tasks)))
    if dry_run:
        typer.echo("Nothing was kept (--dry-run).")
    if api is not None:
        typer.echo(f'Label Studio shows them in the tab "Review plan {found.number}".')


def label_studio_of(store: "Store", project: "ProjectKey") -> "LabelStudio":
    """The Label Studio a project is on.

    Raises:
        InputError: it is not configured.
    """
    from backend.database.keys import project_text
    from backend.database.servers import ProjectServers
    from backend.label_studio.connections import Connections
    from backend.settings import load_settings
    from videogem.errors import InputError

    connections = Connections(load_settings(), ProjectServers(store.engine))
    key = project if project.server else connections.key(project.id) or project
    api = connections.get(key)
    if api is None or not api.has_token:
        raise InputError(
            f"The Label Studio of project {project_text(project)} is not configured; set "
            "VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY."
        )
    return api


def estimate_text(found: "ProjectEstimate") -> str:
    """The estimate in words."""
    e, people = found.found, found.population.reviews
    version = found.population.model_version or "no version"
    lines = [f"{e.points} points in {e.tasks} tasks, predicted by {version}."]
    if e.accuracy is None or e.low is None or e.high is None:
        lines.append(f"Accuracy: unknown ({e.reason}). Needed: {e.needed} more.")
    else:
        lines.append(
            f"Accuracy of all of them: {100 * e.accuracy:.1f} % "
            f"(95 % interval {100 * e.low:.1f} to {100 * e.high:.1f} %), "
            f"from {e.reviewed} reviewed tasks."
        )
    if found.basis == "plan":
        lines.append(f"Rests on {found.planned_reviewed} of {found.planned} tasks drawn by plan.")
    else:
        lines.append(
            "Rests on what people reviewed by themselves: it assumes that, of tasks with like "
            "scores, they did not pick by whether the model was right. `videogem qa plan` draws "
            "tasks so that nothing need be assumed."
        )
        if found.planned:
            lines.append(
                f"Of {found.planned} tasks drawn by plan {found.planned_reviewed} are reviewed; "
                "the plan counts when nine tenths of a round are."
            )
    if found.not_covered:
        lines.append(f"{found.not_covered} tasks came after the last plan and are not covered.")
    lines.append(
        f"Annotations that count: {people['independent']} (no prediction seen, or ground truth). "
        f"Not counted: {people['accepted']} accepted unchanged, {people['edited']} edited after "
        f"seeing a prediction, {people['bulk']} made in bulk."
    )
    if e.for_target_uniform is not None:
        lines.append(
            f"For +- 2 %: about {e.for_target_planned} reviews by plan, {e.for_target_uniform} "
            "drawn uniformly."
        )
    return "\n".join(lines)
