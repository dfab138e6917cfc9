"""`videogem doctor`: what is wrong, and the setting that mends it."""

import json
from itertools import chain
from typing import TYPE_CHECKING

import typer

from backend.running_demo import DEFAULT_STATE, running_demo_in, token_in

if TYPE_CHECKING:
    from backend.settings import Settings
    from backend.web.checks import Check

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
    from backend.web.checks import Check
    from backend.web.doctor import diagnose

    settings, demo = _of_running_demo(load_settings())
    connections = Connections(settings)
    key = read_project(project) if project else None
    if key is not None and not key.server:
        key = connections.key(key.id)
    checks: list[Check] = []
    found = diagnose(
        settings,
        model=configured_model(settings),
        media=Media(settings, connections),
        label_studio=connections.get(key),
        project=key.id if key else None,
    )
    for check in chain(demo, found):
        checks.append(check)
        if not as_json:
            typer.echo(f"{MARKS[check.level]}  {check.name}: {check.found}")
            if check.fix:
                typer.echo(f"         {check.fix}")
    if as_json:
        typer.echo(json.dumps([check.as_json() for check in checks], indent=2))
    if any(check.level == "failure" for check in checks):
        raise typer.Exit(1)


def _of_running_demo(settings: "Settings") -> "tuple[Settings, list[Check]]":
    """The settings of a demo that runs here, where none name a Label Studio, and a line."""
    from pydantic import SecretStr

    from backend.web.checks import Check

    demo = running_demo_in(DEFAULT_STATE) if settings.label_studio_url is None else None
    token = token_in(DEFAULT_STATE) if demo else None
    if demo is None or token is None:
        return settings, []
    given = {
        "label_studio_url": demo.label_studio,
        "label_studio_api_key": SecretStr(token),
        "data_dir": (DEFAULT_STATE / "backend").resolve(),
    }
    words = f"runs in {DEFAULT_STATE}, and is looked at, as no VIDEOGEM_LABEL_STUDIO_URL is set"
    return settings.model_copy(update=given), [Check("demo", "ok", words)]
