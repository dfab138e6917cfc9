"""spaCy without torch, for commands that answer in about a second and look at no picture."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any

from videogem.narration.importing_spacy import import_spacy


def import_spacy_alone() -> None:
    """Import spaCy before torch.

    Where torch is installed spaCy's base library imports it, which takes seconds; the English model
    does not use it. Only for a process with one thread: another could not import torch meanwhile.
    """
    if "torch" not in sys.modules:
        with _not_installed("torch"):
            import_spacy()


@contextmanager
def _not_installed(package: str) -> Iterator[None]:
    """Inside, importing the package fails as where it is not installed."""
    finder = _FindsNone(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _FindsNone(MetaPathFinder):
    """Python asks the finders of ``sys.meta_path`` for each module that is not imported yet."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname == self._package:
            raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)
