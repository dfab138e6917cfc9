"""`videogem serve`: the backend for Label Studio."""

import platform
import sys

import typer


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    *,
    host: str | None = typer.Option(None, help="Address to listen on [env: VIDEOGEM_HOST]."),
    port: int | None = typer.Option(None, help="Port to listen on [env: VIDEOGEM_PORT]."),
    server: str = typer.Option(
        "auto", help="gunicorn, waitress or auto: gunicorn where it can fork safely."
    ),
) -> None:
    """Run the machine-learning backend that Label Studio connects to."""
    from backend.web.serving import run_server

    run_server(host=host, port=port, server=_choose(server))


def _choose(server: str) -> str:
    if server not in ("auto", "gunicorn", "waitress"):
        raise typer.BadParameter(f"--server must be auto, gunicorn or waitress, got {server!r}")
    if server != "auto":
        return server
    # On macOS a forked child that touches the system's frameworks is killed; Windows cannot fork.
    forks = sys.platform != "win32" and platform.system() != "Darwin"
    return "gunicorn" if forks else "waitress"
