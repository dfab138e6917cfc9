"""The `videogem` command: finds the commands, and tells errors to people."""

import importlib
import logging
import pkgutil
import sys
from typing import NoReturn

import typer

from backend import commands
from backend.demo import command as demo_command
from backend.garbage import collect_seldom
from videogem import __version__
from videogem.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help texts show JSON such as [x, y], which would be taken for markup
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer calls option callbacks by position)
    if wanted:
        typer.echo(f"videogem {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show what happens (debug log)."),
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Point at narrated actions in video frames, for Label Studio and from the shell."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


for module in pkgutil.iter_modules(commands.__path__):
    if not module.ispkg:
        importlib.import_module(f"backend.commands.{module.name}").register(app)
demo_command.register(app)


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and one sentence, no traceback."""
    collect_seldom()
    try:
        app()
    except (InputError, OSError) as error:
        _end(str(error))
    except Exception as error:
        if (told := _of_the_database(error)) is None:
            raise
        _end(told)


def _end(told: str) -> NoReturn:
    typer.echo(f"Error: {told}", err=True)
    sys.exit(2)


def _of_the_database(error: Exception) -> str | None:
    """What the database, or the address given for it, says is wrong, as a sentence."""
    if (sqlalchemy := sys.modules.get("sqlalchemy")) is None:  # too slow to import for this alone
        return None
    if not isinstance(error, sqlalchemy.exc.SQLAlchemyError):
        return None
    reason = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0]
    return (
        f"The database cannot be used: {reason}. Check VIDEOGEM_DATABASE_URL (or --database), and "
        "that its server runs."
    )
