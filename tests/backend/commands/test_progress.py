"""The bar on stderr: how far a run is, and nothing where it never began."""

import pytest

from backend.commands.support.progress import progress
from videogem.errors import InputError


def test_a_run_that_never_began_leaves_no_bar(capsys):
    with pytest.raises(InputError), progress("tasks"):
        raise InputError("There is no such project.")
    assert capsys.readouterr() == ("", "")


def test_a_run_that_broke_off_says_how_far_it_was(capsys):
    with pytest.raises(InputError), progress("tasks") as update:
        update(3, 8)
        raise InputError("Label Studio does not answer.")
    out, err = capsys.readouterr()
    assert (out, "3/8" in err) == ("", True)
