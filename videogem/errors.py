"""Errors a person can fix."""

from collections.abc import Collection
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input, told as one sentence: what was expected, what came, what to do.

    The command line prints it and exits with code 2, the backend reports it for the task concerned;
    every other exception is a defect of this project and keeps its traceback.
    """


def first_line(error: Exception) -> str:
    """What an error says, cut to its first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def check_choice(name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that is none of those there are.

    Raises:
        InputError: it is another one.
    """
    if value not in allowed:
        raise InputError(
            f"{name} must be one of {', '.join(allowed)}, got {str(value)[:50]!r}."
            f"{meant(str(value), allowed)}"
        )


def meant(value: str, known: Collection[str]) -> str:
    """The known name that is spelled most like this one, as a sentence; else nothing.

    >>> meant("VIT-B", ["ViT-B", "RN50"]), meant("x", ["ViT-B"])
    (" Did you mean 'ViT-B'?", '')
    """
    by_lower = {name.lower(): name for name in known}
    alike = get_close_matches(value.lower(), by_lower, n=1, cutoff=0.75)
    return f" Did you mean '{by_lower[alike[0]]}'?" if alike else ""
