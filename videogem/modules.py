"""A package whose modules are found by themselves: a new one needs no line anywhere else."""

import importlib
import pkgutil
from types import ModuleType


def modules_of(package: ModuleType) -> list[ModuleType]:
    """The modules of a package, imported, by name; packages inside it are none of them."""
    return [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name)
        if not found.ispkg
    ]
