"""`videogem qa target`: the accuracy a project has to reach, and whether it does."""

from typing import Any

import typer

from backend.commands.qa import commands
from backend.commands.support.numbers import finite
from backend.commands.support.quality_store import DATABASE_HELP, known_project, open_store
from backend.qa.measures import Measure


def register(app: typer.Typer) -> None:
    """Add it to `videogem qa`."""
    commands.command()(target)


def target(
    *,
    project: str = typer.Option(help="NUMBER or NUMBER@SERVER."),
    at_least: float | None = typer.Option(
        None, callback=finite, help="Accuracy to reach, as 0.9 for 90 %."
    ),
    of: str = typer.Option(
        Measure.headline.value,
        help="headline: all reviewed annotations; independent: those drawn independently.",
    ),
    clear: bool = typer.Option(False, "--clear", help="Forget the project's target."),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
) -> None:
    """Set what accuracy a project has to reach, and say whether it does.

    Passed: the whole 95 % interval is at least as high. Failed: the whole interval is below. Else
    it is unknown: more reviews tell. The exit code is 1 for a target that is failed.
    """
    from backend.qa.report import build_report
    from backend.qa.selection import Filters
    from backend.qa.targets import set_target, target_of
    from videogem.errors import InputError, check_choice

    check_choice("--of", of, list(Measure))
    if clear and at_least is not None:
        raise InputError("Give --at-least to set a target or --clear to forget it, not both.")
    with open_store(database) as store:
        key = known_project(store, project)
        if at_least is not None or clear:
            set_target(store, key, at_least, Measure(of))
        if target_of(store, key) is None:
            typer.echo(f"Project {project} has no quality target; set one with --at-least.")
            return
        found = build_report(store, Filters(project=key))["target"]
    typer.echo(_target_line(project, found))
    if found["verdict"] == "failed":
        raise typer.Exit(1)


def _target_line(project: str, found: dict[str, Any]) -> str:
    from backend.qa.views import percent

    figure = found["figure"]
    own = f"{percent(figure['accuracy'])} of {figure['n']} points"
    if figure["n"]:
        own += f", 95 % interval {percent(figure['low'])} to {percent(figure['high'])}"
    of = "" if found["of"] == "headline" else f" ({found['of']} annotations)"
    return (
        f"Project {project}: {found['verdict']}: at least {percent(found['at_least'])}{of}; {own}."
    )
