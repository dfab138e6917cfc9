"""Errors a person can fix."""


class InputError(ValueError):
    """Bad input, told as one sentence: what was expected, what came, what to do.

    The command line prints it and exits with code 2, the backend reports it for the task concerned;
    every other exception is a defect of this project and keeps its traceback.
    """


def first_line(error: Exception) -> str:
    """What an error says, cut to its first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
