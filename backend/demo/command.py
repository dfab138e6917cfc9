"""`videogem demo`: everything on this machine, ready to look at."""

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from backend.folders import check_folder
from videogem.backbones.known import check_model

if TYPE_CHECKING:
    from rich.console import Console

    from backend.demo.run import Demo

# A closed terminal ends the servers too, and Ctrl-C even where a shell had it ignored.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    *,
    model: str | None = typer.Option(
        None, help="Model to use, see `videogem models`; default: the shipped one."
    ),
    state: Path = typer.Option(
        Path("var/demo"), help="Folder for database, frames and logs; kept between runs."
    ),
    venv: Path = typer.Option(
        Path(".venv-label-studio"), help="Virtual environment Label Studio is installed in."
    ),
    once: bool = typer.Option(False, "--once", help="Set everything up, then end."),
) -> None:
    """Run Label Studio, the backend and pre-labelled projects on this machine."""
    if model is not None:
        check_model(model)
    check_folder(state, "--state")
    from rich.console import Console

    from backend.demo.processes import ProcessError
    from backend.demo.run import running_demo

    console = Console(highlight=False, soft_wrap=True)
    for number in ENDING:
        signal.signal(number, _end)
    try:
        with running_demo(console, state=state, venv=venv, model=model) as running:
            _show(console, running)
            if not once:
                running.watch()
    except KeyboardInterrupt:
        console.print("\nThe demo has ended. Start it again and everything is still there.")
    except ProcessError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None


def _end(_number: int, _frame: FrameType | None) -> None:
    """End by unwinding, once: a second Ctrl-C must not leave servers behind."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _show(console: "Console", running: "Demo") -> None:
    console.print(
        f"""
  [bold]Label Studio[/]   {running.label_studio}
  User           {running.user}
  Password       {running.password}
  [bold]Start page[/]     {running.backend}
  Logs           {running.logs}
"""
    )
    for title, project in running.projects.items():
        console.print(f"  {title:24} {running.label_studio}/projects/{project}/data")
    console.print(
        """
Open a task: the orange point and the blue box are predictions. Move the box to where the action
really is, submit, and the start page says what is next and how often the model pointed right.
Ctrl-C ends everything."""
    )
