"""`videogem qa`: quality figures from files or from the store."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backend.commands.support.numbers import finite
from backend.folders import check_file
from backend.qa.measures import Measure

if TYPE_CHECKING:
    from backend.database.keys import ProjectKey
    from backend.qa.audit import Suspect
    from backend.qa.pairs import Pair
    from backend.qa.store import Store

DATABASE_HELP = "SQLAlchemy URL of the store; default: that of the backend's settings."


class ExportForm(StrEnum):
    """What `videogem qa export` writes."""

    csv = "csv"
    coco = "coco"
    json = "json"


commands = typer.Typer(
    no_args_is_help=True, help="How good are the pre-labels, and how good are the labels?"
)


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="qa")


@commands.command()
def score(
    *,
    predictions: Path = typer.Option(
        help='JSON lines {"id", "point": [x, y], "box": [x1, y1, x2, y2], "label"?, "score"?}; '
        "point and box may be null."
    ),
    annotations: Path = typer.Option(
        help='JSON lines {"id", "boxes": [[x1, y1, x2, y2], …], "size": [w, h], "label"?, '
        '"annotator"?}.'
    ),
    audit: bool = typer.Option(False, "--audit", help="Also list annotations to look at again."),
    limit: int = typer.Option(20, min=0, help="Rows of the printed audit list."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Score points or boxes of any system against any boxes; no Label Studio needed.

    A point hits when it lies in any box of its id, edges included; no point is a miss. Ids on one
    side only are counted as missing and not scored. Boxes of several annotators all count.
    """
    from backend.qa.audit import count_reasons, find_suspects
    from backend.qa.pairs import (
        audit_items,
        figures,
        read_annotations,
        read_predictions,
        score_pairs,
    )

    predicted, annotated = read_predictions(predictions), read_annotations(annotations)
    pairs = score_pairs(predicted, annotated)
    suspects = find_suspects(audit_items(predicted, annotated)) if audit else []
    found = {**figures(pairs, predicted, annotated), "audit": count_reasons(suspects)}
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(_table(found, pairs))
    if audit:
        typer.echo(_audit_table(found["audit"], suspects, limit))


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
def target(
    *,
    project: str = typer.Option(help="NUMBER or NUMBER@SERVER."),
    at_least: float | None = typer.Option(
        None, callback=finite, help="Accuracy to reach, as 0.9 for 90 %."
    ),
    of: Measure = typer.Option(
        Measure.headline, help="All reviewed annotations, or those drawn independently."
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
    from videogem.errors import InputError

    if clear and at_least is not None:
        raise InputError("Give --at-least to set a target or --clear to forget it, not both.")
    with open_store(database) as store:
        key = known_project(store, project)
        if at_least is not None or clear:
            set_target(store, key, at_least, of)
        if target_of(store, key) is None:
            typer.echo(f"Project {project} has no quality target; set one with --at-least.")
            return
        found = build_report(store, Filters(project=key))["target"]
    typer.echo(_target_line(project, found))
    if found["verdict"] == "failed":
        raise typer.Exit(1)


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
    form: ExportForm = typer.Option(
        ExportForm.csv, "--format", help="csv: every region; coco: the labels; json: the figures."
    ),
    out: Path | None = typer.Option(None, help="File to write; default: standard output."),
    project: str | None = typer.Option(None, help="Only this one: NUMBER or NUMBER@SERVER."),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
) -> None:
    """Take regions, labels or figures out of the store."""
    from backend.qa import coco, exports
    from backend.qa.report import build_report
    from backend.qa.selection import Filters

    if out is not None:
        check_file(out, "--out")
    filters = Filters.of({"project": project or ""})
    with open_store(database) as store:
        if form is ExportForm.csv:
            text = exports.regions_csv(store, filters)
        elif form is ExportForm.coco:
            text = coco.coco_json(store, filters) + "\n"
        else:
            text = json.dumps(exports.plain(build_report(store, filters))) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


@contextmanager
def open_store(database: str | None) -> Iterator["Store"]:
    """The store of the settings, or the one named; it must be there already."""
    from sqlalchemy.engine import make_url

    from backend.qa.store import Store
    from backend.settings import load_settings
    from videogem.errors import InputError

    url = database or load_settings().database
    if url.startswith("sqlite") and not Path(str(make_url(url).database)).expanduser().exists():
        raise InputError(f"There is no quality store at {url}; is VIDEOGEM_DATA_DIR right?")
    store = Store(url)
    try:
        yield store
    finally:
        store.close()


def known_project(store: "Store", text: str) -> "ProjectKey":
    """The project that is meant, with its server, after what waits was counted.

    Raises:
        InputError: the store has no such project.
    """
    from backend.database import schema
    from backend.database.keys import read_project
    from backend.qa.queries import resolve
    from backend.qa.report import listed_projects
    from videogem.errors import InputError

    store.catch_up()
    asked = read_project(text)
    key = resolve(store, asked) or asked
    projects = listed_projects(store)
    # Those that only wrote predictions, or reviews before they were announced, are known, too.
    tables = (schema.predictions, schema.annotations)
    kept = {id for table in tables for id in store.values(table.c.project_id)}
    if key.id not in {row["id"] for row in projects} | kept:
        known = ", ".join(row["value"] for row in projects) or "none"
        raise InputError(f"There is no project {key.id}; known: {known}.")
    return key


def _target_line(project: str, found: dict[str, Any]) -> str:
    figure = found["figure"]
    own = f"{_percent(figure['accuracy'])} of {figure['n']} points"
    if figure["n"]:
        own += f", 95 % interval {_percent(figure['low'])} to {_percent(figure['high'])}"
    of = "" if found["of"] == "headline" else f" ({found['of']} annotations)"
    return (
        f"Project {project}: {found['verdict']}: at least {_percent(found['at_least'])}{of}; {own}."
    )


def _table(found: dict[str, Any], pairs: "Sequence[Pair]") -> str:
    from backend.qa.figures import group, mean, share

    rows = [{"hit": pair.hit, "iou": pair.iou, "label": pair.label} for pair in pairs]
    lines = [_figure_line("all", found, found["mean_iou"])]
    by_label = group(rows, lambda row: row["label"])
    by_label_shares = {
        label: share(sum(row["hit"] for row in same), len(same)) for label, same in by_label.items()
    }
    if len(by_label) > 1:
        for label in sorted(by_label):
            overlap = mean(row["iou"] for row in by_label[label])["mean"]
            lines.append(_figure_line(str(label), by_label_shares[label], overlap))
    head = f"{'':<24} {'n':>7} {'hits':>7}  pointing accuracy (95 % interval)  mean IoU"
    notes = [
        f"Missing: {found['missing_predictions']} annotated without a prediction, "
        f"{found['missing_annotations']} predicted without an annotation (not scored)."
    ]
    if len(by_label) > 1:
        macro = sum(figure["accuracy"] for figure in by_label_shares.values()) / len(by_label)
        notes.append(f"Mean over labels (macro): {_percent(macro)}.")
    return "\n".join([head, *lines, "", *notes])


def _figure_line(name: str, found: dict[str, Any], overlap: float | None) -> str:
    interval = "" if not found["n"] else f" ({_percent(found['low'])} to {_percent(found['high'])})"
    accuracy = f"{_percent(found['accuracy'])}{interval}"
    iou = "-" if overlap is None else f"{overlap:.3f}"
    return f"{name[:24]:<24} {found['n']:>7} {found['hits']:>7}  {accuracy:<34} {iou:>8}"


def _audit_table(counts: dict[str, int], suspects: "Sequence[Suspect]", limit: int) -> str:
    from backend.qa.audit import audit_reasons

    if not counts:
        return "\nNothing suspicious found."
    lines = ["", "Annotations to look at again:"]
    known = audit_reasons()
    lines += [f"{count:>7}  {code:<23} {known[code].meaning}" for code, count in counts.items()]
    if limit:
        lines += ["", f"The first {min(limit, len(suspects))} of the list:"]
        lines += [f"  {s.id}: {s.reason} ({s.detail})" for s in suspects[:limit]]
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
