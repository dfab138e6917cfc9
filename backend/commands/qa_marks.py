"""`videogem qa marks`: what people said of suspects, and what that says of the reasons."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from backend.commands.qa import commands
from backend.commands.qa_reviews import label_studio_of
from backend.commands.support.quality_store import DATABASE_HELP, known_project, open_store
from backend.folders import check_file
from videogem.errors import InputError, check_choice

if TYPE_CHECKING:
    from backend.database.keys import ProjectKey
    from backend.qa.events import Row
    from backend.qa.store import Store


FORMS = ("table", "csv", "json")


def register(app: typer.Typer) -> None:
    """Add this to `videogem qa`."""
    commands.command()(marks)


def marks(
    *,
    form: str = typer.Option(
        "table",
        "--format",
        help="table: how often each reason was right; csv, json: every mark.",
    ),
    out: Path | None = typer.Option(None, help="File to write; default: standard output."),
    project: str | None = typer.Option(None, help="Only this one: NUMBER or NUMBER@SERVER."),
    field: str | None = typer.Option(
        None,
        "--write-field",
        help="Also set this field of the project's marked tasks in Label Studio to fine, fix or "
        "open (taken back); a field of others is never touched.",
    ),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
) -> None:
    """What people said of suspects on the review page: fine or to be fixed, who and when."""
    from backend.qa.exports import marks_csv
    from backend.qa.mark_field import check_name
    from backend.qa.marks import all_marks, evidence

    check_choice("--format", form, FORMS)
    if field is not None:
        check_name(field)
        if project is None:
            raise InputError("--write-field is of one project: say --project NUMBER.")
    if out is not None:
        check_file(out, "--out")
    with open_store(database) as store:
        key = known_project(store, project) if project else None
        found = all_marks(store, key)
        if field is not None and key is not None:
            typer.echo(_write(store, key, field, found), err=True)
    told = evidence(found)
    if form == "csv":
        text = marks_csv(found)
    elif form == "json":
        text = json.dumps({"marks": found, "evidence": told}) + "\n"
    else:
        text = _table(told)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {out}.")


def _write(store: "Store", project: "ProjectKey", field: str, marks: "list[Row]") -> str:
    """Write the field, and say what was written."""
    from backend.qa.mark_field import states_of, write_field

    done = write_field(label_studio_of(store, project), project.id, field, states_of(marks))
    lines = [f"{number} {verdict}" for verdict, number in done.changed.items()]
    said = f"Wrote {field!r} into {sum(done.changed.values())} tasks"
    said += f" ({', '.join(lines)})" if lines else ""
    said += f"; {done.already} had it already."
    if done.gone:
        said += f" {done.gone} marked tasks are no longer there."
    if done.changed:
        said += f" Reload the Data Manager and show its column {field!r} to sort and filter by it."
    return said


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
