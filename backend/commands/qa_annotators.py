"""`videogem qa annotators`: how reliable each annotator is, as an estimate with its interval."""

import json
from typing import TYPE_CHECKING

import typer

from backend.commands.qa import commands
from backend.commands.qa_reviews import PROJECT
from backend.commands.support.quality_store import DATABASE_HELP, known_project, open_store

if TYPE_CHECKING:
    from backend.qa.events import Row


def register(app: typer.Typer) -> None:
    """Add it to `videogem qa`."""
    commands.command()(annotators)


def annotators(
    *,
    project: str = PROJECT,
    database: str | None = typer.Option(None, help=DATABASE_HELP),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """How often each annotator is right about whether the action is there, and how exactly boxes
    are drawn, from tasks that several people did and from ground truth.

    Annotations count that were drawn without a prediction in sight.
    """
    from backend.qa.estimates.annotators import rate_annotators

    with open_store(database) as store:
        found = rate_annotators(store, known_project(store, project))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for row in found["annotators"]:
        typer.echo(f"Annotator {row['annotator']}, {row['tasks']} tasks that others did, too:")
        typer.echo(f"  sees the action where it is: {_rate(row['sees'])}")
        typer.echo(f"  says so where it is not: {_rate(row['sees_absence'])}")
        typer.echo(f"  noise of boxes: {_noise(row['noise'])}")
    if not found["annotators"]:
        typer.echo("No task was drawn by several people, or has ground truth: nothing can be said.")
    typer.echo(
        f"Ground truth is known of {found['honeypots']} tasks. Not counted: {found['not_counted']} "
        "annotations of shared tasks that were made with a prediction in sight, or in bulk."
    )


def _rate(found: "Row") -> str:
    if "unknown" in found:
        return f"unknown ({found['unknown']})"
    low, high = 100 * found["low"], 100 * found["high"]
    return f"{100 * found['rate']:.0f} % (95 % interval {low:.0f} to {high:.0f} %)"


def _noise(found: "Row") -> str:
    other = found["of_another_thing"]
    more = f"; {other} boxes were of another thing" if other else ""
    if "unknown" in found:
        return f"unknown ({found['unknown']}){more}"
    low, high = 100 * found["low"], 100 * found["high"]
    return (
        f"{100 * found['scale']:.1f} % of the box's side at each edge (95 % interval {low:.1f} to "
        f"{high:.1f} %), from {found['boxes']} boxes{more}"
    )
