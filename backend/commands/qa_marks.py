"""`videogem qa marks`: what people said of suspects, and what that says of the reasons."""

import json
from enum import StrEnum
from pathlib import Path

import typer

from backend.commands.qa import DATABASE_HELP, commands, known_project, open_store


class MarksForm(StrEnum):
    """What `videogem qa marks` writes."""

    table = "table"
    csv = "csv"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add this to `videogem qa`."""
    commands.command()(marks)


def marks(
    *,
    form: MarksForm = typer.Option(
        MarksForm.table,
        "--format",
        help="table: how often each reason was right; csv, json: every mark.",
    ),
    out: Path | None = typer.Option(None, help="File to write; default: standard output."),
    project: str | None = typer.Option(None, help="Only this one: NUMBER or NUMBER@SERVER."),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
) -> None:
    """What people said of suspects on the review page: fine or to be fixed, who and when."""
    from backend.qa.exports import marks_csv
    from backend.qa.marks import all_marks, evidence

    with open_store(database) as store:
        found = all_marks(store, known_project(store, project) if project else None)
    told = evidence(found)
    if form is MarksForm.csv:
        text = marks_csv(found)
    elif form is MarksForm.json:
        text = json.dumps({"marks": found, "evidence": told}) + "\n"
    else:
        text = _table(told)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {out}.")


def _table(told: dict[str, dict[str, float]]) -> str:
    if not told:
        return "Nothing is marked yet: the review page of `videogem serve` has the buttons.\n"
    lines = [f"{'reason':<24} {'marked':>7} {'to fix':>7}  share (95 % interval)"]
    for code, figure in told.items():
        lines.append(
            f"{code:<24} {figure['n']:>7} {figure['hits']:>7}  {100 * figure['accuracy']:.1f} % "
            f"({100 * figure['low']:.1f} to {100 * figure['high']:.1f} %)"
        )
    return "\n".join(lines) + "\n"
