"""spaCy without torch, for commands that answer in about a second and look at no picture."""

import importlib
import sys


def import_spacy_alone() -> None:
    """Import spaCy before torch.

    Where torch is installed spaCy's base library imports it, which takes seconds; the English model
    does not use it. Only for a process with one thread: another could not import torch meanwhile.
    """
    if "torch" in sys.modules or "spacy" in sys.modules:
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # how Python is told to find no module
    try:
        importlib.import_module("spacy")
    finally:
        del sys.modules["torch"]
