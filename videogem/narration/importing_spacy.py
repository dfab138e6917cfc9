"""spaCy without its command line."""

import importlib
import sys
import threading
from types import ModuleType
from typing import Any

_CLI, _INFO = "spacy.cli", "spacy.cli.info"
_importing = threading.Lock()


def import_spacy() -> ModuleType:
    """``import spacy``, in two thirds of the time.

    The package takes one function, ``spacy.info``, from its command line, and with that all
    commands and what they need: two clients for HTTP, a template engine, a project manager. So an
    empty module stands for the command line meanwhile; who imports it later gets the real one.
    """
    with _importing:
        if "spacy" in sys.modules:
            return importlib.import_module("spacy")
        cli, info = ModuleType(_CLI), ModuleType(_INFO)
        vars(info)["info"] = _info
        sys.modules |= {_CLI: cli, _INFO: info}
        try:
            return importlib.import_module("spacy")
        finally:
            del sys.modules[_CLI], sys.modules[_INFO]


def _info(*arguments: Any, **options: Any) -> Any:
    """`spacy.info`, which imports the command line now."""
    return importlib.import_module(_INFO).info(*arguments, **options)
