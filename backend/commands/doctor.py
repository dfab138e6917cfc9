"""`videogem doctor`: what is wrong, and the setting that mends it."""

import json

import typer

MARKS = {"ok": "ok     ", "warning": "warning", "failure": "FAILURE"}


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    *,
    project: str | None = typer.Option(
        None,
        help="Only this one: NUMBER or NUMBER@SERVER; default: all that have a model connected.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the checks as JSON."),
) -> None:
    """Check Label Studio, token, backend, webhook, media, labeling config, weights and database.

    The exit code is 1 when a check failed.
    """
    from backend.database.keys import read_project
    from backend.label_studio.connections import Connections
    from backend.media.media import Media
    from backend.settings import load_settings
    from backend.web.app import configured_model
    from backend.web.doctor import diagnose

    settings = load_settings()
    connections = Connections(settings)
    key = read_project(project) if project else None
    if key is not None and not key.server:
        key = connections.key(key.id)
    checks = []
    for check in diagnose(
        settings,
        model=configured_model(settings),
        media=Media(settings, connections),
        label_studio=connections.get(key),
        project=key.id if key else None,
    ):
        checks.append(check)
        if not as_json:
            typer.echo(f"{MARKS[check.level]}  {check.name}: {check.found}")
            if check.fix:
                typer.echo(f"         {check.fix}")
    if as_json:
        typer.echo(json.dumps([check.as_json() for check in checks], indent=2))
    if any(check.level == "failure" for check in checks):
        raise typer.Exit(1)
