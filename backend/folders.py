"""Folders: whether they can be written to, asked before the work whose results go there."""

import tempfile
from pathlib import Path

from videogem.errors import InputError


def make_private(folder: Path) -> None:
    """Make a folder for its owner alone, as what is kept there is of people and their tasks.

    One that is there stays as it is: whoever made it may share it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def check_folder(folder: Path, option: str) -> None:
    """Try to write where the folder is or would be made; nothing stays.

    Raises:
        InputError: it cannot be, with the reason and the option or setting that names it.
    """
    there = folder.expanduser().absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        at = "" if there == folder.expanduser().absolute() else f" at '{there}'"
        reason = "it is no folder" if there.is_file() else error.strerror
        raise InputError(
            f"Nothing can be written to '{folder}': {reason}{at}. Choose another folder with "
            f"{option}."
        ) from None


def check_file(file: Path, option: str) -> None:
    """The same for a file, and make its folder.

    Raises:
        InputError: it cannot be written.
    """
    check_folder(file.parent, option)
    if file.expanduser().is_dir():
        raise InputError(f"'{file}' is a folder; name a file with {option}.")
    file.expanduser().parent.mkdir(parents=True, exist_ok=True)
