"""`videogem serve`: the backend for Label Studio."""

import typer


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    *,
    host: str | None = typer.Option(None, help="Address to listen on [env: VIDEOGEM_HOST]."),
    port: int | None = typer.Option(
        None, min=1, max=65535, help="Port to listen on [env: VIDEOGEM_PORT]."
    ),
    server: str | None = typer.Option(None, hidden=True),
) -> None:
    """Run the machine-learning backend that Label Studio connects to."""
    from backend.web.serving import run_server

    if server is not None:
        raise typer.BadParameter("there is one server now, and nothing to choose: leave it out.")
    run_server(host=host, port=port)
