"""`videogem qa`: figures of the store, kept in agreement with Label Studio."""

import json
from contextlib import ExitStack
from pathlib import Path

import typer

from backend.commands.support.quality_store import DATABASE_HELP, open_store
from backend.folders import check_file

EXPORTS = ("csv", "coco", "json")


commands = typer.Typer(
    no_args_is_help=True, help="How good are the pre-labels, and how good are the labels?"
)


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="qa")


@commands.command()
def sync(
    *,
    project: list[str] = typer.Option(
        [], help="Project to sync, NUMBER or NUMBER@SERVER; default: all known ones."
    ),
    force: bool = typer.Option(
        False, "--force", help="Also if more than a tenth of a project has to be removed."
    ),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
) -> None:
    """Make the store agree with Label Studio, and say what was repaired.

    Needs VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY. The backend does the same by
    itself from time to time. The exit code is 1 when a project could not be synced.
    """
    from backend.database.keys import project_text, read_project
    from backend.database.servers import ProjectServers
    from backend.database.turns import in_turn
    from backend.label_studio.client import LabelStudioError
    from backend.label_studio.connections import Connections
    from backend.qa.queries import resolve
    from backend.qa.sync import known_projects, sync_project
    from backend.settings import load_settings
    from videogem.errors import InputError

    settings = load_settings()
    if settings.label_studio_url is None or settings.label_studio_api_key is None:
        raise InputError(
            "Set VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY to sync with it."
        )
    failed = False
    with open_store(database) as store, ExitStack() as turn:
        connections = Connections(settings, ProjectServers(store.engine))
        if connections.only_server:
            store.adopt(connections.only_server)
        turn.enter_context(in_turn(store.engine, "sync"))
        named = [resolve(store, read_project(text)) for text in project]
        for key in [one for one in named if one] or known_projects(store):
            if not key.server:
                key = connections.key(key.id) or key
            api = connections.get(key)
            if api is None or not api.has_token:
                typer.echo(f"Project {project_text(key)}: its server is not configured.", err=True)
                failed = True
                continue
            try:
                r = sync_project(store, api, key, force=force)
            except LabelStudioError as error:  # the others are synced all the same
                typer.echo(f"Project {key.id}: {error}", err=True)
                failed = True
                continue
            typer.echo(
                f"Project {key.id}: {r.tasks} tasks, {r.annotations} annotations seen; "
                f"{r.missing} annotations fetched, {r.outdated} updated, {r.gone} removed, "
                f"{r.gone_tasks} tasks removed, {r.predictions} predictions fetched."
            )
        if not project and not known_projects(store):
            raise InputError("No project is known yet; name one with --project.")
    if failed:
        raise typer.Exit(1)


@commands.command()
def recompute(
    *,
    database: str | None = typer.Option(None, help=DATABASE_HELP),
) -> None:
    """Work out all figures anew from the tasks, annotations and predictions that are kept.

    Events that could not be read are tried once more. The backend does the same by itself when a
    new version counts in another way.
    """
    with open_store(database) as store:
        done = store.recompute()
        counts = store.inbox_counts()
    typer.echo(
        f"{done.tasks} tasks with annotations scored anew: {done.after} rows of figures, "
        f"{done.before} before. {done.retried} events that could not be read were tried again, "
        f"{counts['failed']} still cannot be."
    )


@commands.command()
def report(
    *,
    out: Path = typer.Option(
        Path("quality_report.html"), help="The file to write: .html, or .pdf (printed by Chromium)."
    ),
    project: str | None = typer.Option(None, help="Only this one: NUMBER or NUMBER@SERVER."),
    audit: bool = typer.Option(
        True, "--audit/--no-audit", help="With or without the labels to look at again."
    ),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
    as_json: bool = typer.Option(False, "--json", help="Print the figures as JSON, write no file."),
) -> None:
    """Write all figures of the store into one HTML file (or PDF) that needs nothing else.

    Pictures of the first suspects are inside, as far as their media can be had; links lead to their
    tasks in Label Studio.
    """
    from backend.commands.support.pdf import find_chromium, print_pdf
    from backend.database.servers import ProjectServers
    from backend.label_studio.connections import Connections
    from backend.media.media import Media
    from backend.qa.exports import NO_AUDIT, plain
    from backend.qa.report import build_report
    from backend.qa.selection import Filters
    from backend.qa.views import address_of
    from backend.settings import load_settings
    from backend.web.names import Names
    from backend.web.quality_report import report_file

    if not as_json:
        check_file(out, "--out")
    settings, as_pdf = load_settings(), out.suffix.lower() == ".pdf"
    if as_pdf and not as_json:
        find_chromium()
    with open_store(database) as store:
        found = build_report(
            store, Filters.of({"project": project or ""}), tolerance=settings.qa_tolerance
        )
        if not audit:
            found |= NO_AUDIT
        if as_json:
            typer.echo(json.dumps(plain(found)))
            return
        connections = Connections(settings, ProjectServers(store.engine))
        media, names = Media(settings, connections), Names(connections, store)
        names.ask()
        address = settings.label_studio_url
        text = report_file(
            store, media, found, lambda suspect: address_of(address, suspect), names.person
        )
    if as_pdf:
        print_pdf(text, out)
    else:
        out.write_text(text, encoding="utf-8")
    typer.echo(f"Wrote {out}.")


@commands.command()
def compare(
    *,
    first: str = typer.Option("", help="A model version; default: one of the last two."),
    second: str = typer.Option("", help="Another one."),
    project: str | None = typer.Option(None, help="Only this one: NUMBER or NUMBER@SERVER."),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Two model versions side by side, on what one person judged both on."""
    from backend.qa.compare import compared
    from backend.qa.selection import Filters

    with open_store(database) as store:
        found = compared(store, Filters.of({"project": project or ""}), first, second)
    if as_json:
        typer.echo(json.dumps(found))
        return
    if found is None:
        typer.echo("Fewer than two model versions were judged; there is nothing to compare.")
        return
    typer.echo(found["sentence"])
    for row in found["differing"]:
        better = found["first"] if row["first"] else found["second"]
        frame = f", frame {row['item'] + 1}" if row["item"] else ""
        typer.echo(f"  task {row['task_id']}{frame} {row['label']}: only {better} hits")


@commands.command()
def export(
    *,
    form: str = typer.Option(
        "csv", "--format", help="csv: every region; coco: the labels; json: the figures."
    ),
    out: Path | None = typer.Option(None, help="File to write; default: standard output."),
    project: str | None = typer.Option(None, help="Only this one: NUMBER or NUMBER@SERVER."),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
) -> None:
    """Take regions, labels or figures out of the store."""
    from backend.qa import coco, exports
    from backend.qa.report import build_report
    from backend.qa.selection import Filters
    from videogem.errors import check_choice

    check_choice("--format", form, EXPORTS)
    if out is not None:
        check_file(out, "--out")
    filters = Filters.of({"project": project or ""})
    with open_store(database) as store:
        if form == "csv":
            text = exports.regions_csv(store, filters)
        elif form == "coco":
            text = coco.coco_json(store, filters) + "\n"
        else:
            text = json.dumps(exports.plain(build_report(store, filters))) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
