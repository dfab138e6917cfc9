"""The datasets by name, as the modules of `readers` give them."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from videogem.datasets import readers
from videogem.datasets.base import Dataset, Reader, ReadOptions
from videogem.datasets.files import check_root
from videogem.datasets.resolve import resolve
from videogem.errors import InputError, meant
from videogem.modules import modules_of

DEMO = "demo"  # made by the project itself, so it has no reader


@cache
def dataset_readers() -> Mapping[str, Reader]:
    """Every reader by its name.

    Raises:
        RuntimeError: two readers have the same name.
    """
    found = [reader for module in modules_of(readers) for reader in module.READERS]
    for spelling, count in Counter(each for one in found for each in _spellings(one)).items():
        if count > 1:
            raise RuntimeError(f"two readers are called {spelling}")
    return {reader.name: reader for reader in found}


def described_names() -> dict[str, str]:
    """Each dataset's name, and what it is in one line."""
    read = {name: reader.about for name, reader in dataset_readers().items()}
    return {DEMO: "the synthetic world that the demo models know", **read}


def canonical_name(name: str) -> str:
    """The dataset's name from any usual spelling ('V-HICO', 'YouCook-Interactions').

    Raises:
        InputError: no dataset is called so.
    """
    names = {DEMO: DEMO}
    for reader in dataset_readers().values():
        names |= dict.fromkeys(_spellings(reader), reader.name)
    if _plain(name) not in names:
        known = (DEMO, *dataset_readers())
        raise InputError(
            f"There is no dataset '{name}'; choose one of {', '.join(known)}.{meant(name, known)}"
        )
    return names[_plain(name)]


def read_dataset(name: str, root: Path | None, options: ReadOptions | None = None) -> Dataset:
    """Read a dataset from its folder (not the demo world, which is made and not read).

    Raises:
        InputError: unknown name, no such folder, or files that are not as published.
    """
    name = canonical_name(name)
    if name == DEMO:
        raise InputError(f"The dataset '{name}' is made by the project itself and has no files.")
    if root is None:
        raise InputError(f"The dataset '{name}' needs --root DIR, the folder with its files.")
    check_root(root)
    options = options or ReadOptions()
    return resolve(name, root, dataset_readers()[name].read(root, options), options)


def _spellings(reader: Reader) -> list[str]:
    return list(dict.fromkeys(map(_plain, (reader.name, *reader.other_names))))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
