"""What numbers on a command line must be: typer takes `nan` and `inf` for numbers, too."""

import math
import os

import typer

FEW_PROCESSES = 8  # that any machine may be asked for


def finite(value: float | None) -> float | None:
    """A number, or nothing.

    Raises:
        typer.BadParameter: it is not finite.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"it must be a finite number, got {value:g}.")
    return value


def positive(value: float | None) -> float | None:
    """A number above 0, or nothing.

    Raises:
        typer.BadParameter: it is something else.
    """
    number = finite(value)
    if number is not None and number <= 0:
        raise typer.BadParameter(f"it must be above 0, got {number:g}.")
    return number


def processes(value: int | None) -> int | None:
    """A number of processes that this machine bears, or nothing.

    Raises:
        typer.BadParameter: there are far more than it has cores; each holds a model of its own.
    """
    most = max(FEW_PROCESSES, os.cpu_count() or 1)
    if value is not None and value > most:
        raise typer.BadParameter(f"it must be at most {most} on this machine, got {value}.")
    return value
