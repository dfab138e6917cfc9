"""Errors a person can fix."""


class InputError(ValueError):
    """Bad input, told as one sentence: what was expected, what came, what to do.

    The command line prints it and exits with code 2, the backend reports it for the task concerned;
    every other exception is a defect of this project and keeps its traceback.
    """
