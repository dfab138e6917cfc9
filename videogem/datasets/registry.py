"""The datasets by name."""

import re
from collections.abc import Callable
from pathlib import Path

from videogem.datasets import daly, groundingyoutube, jsonl, labelstudio, vhico, youcook
from videogem.datasets.base import Annotations, Dataset, ReadOptions
from videogem.datasets.files import check_root
from videogem.datasets.resolve import resolve
from videogem.errors import InputError

Reader = Callable[[Path, ReadOptions], Annotations]

READERS: dict[str, Reader] = {
    "vhico": vhico.read,
    "daly": daly.read,
    "daly-videogem": daly.read_derived,
    "youcook": youcook.read,
    "youcook-videogem": youcook.read_derived,
    "groundingyoutube": groundingyoutube.read,
    "jsonl": jsonl.read,
    "labelstudio": labelstudio.read,
}
ALIASES = {
    "youcookinteractions": "youcook",
    "youcook2interactions": "youcook",
    "yc2i": "youcook",
    "gyt": "groundingyoutube",
    "dalyvideogem": "daly-videogem",
    "youcookvideogem": "youcook-videogem",
}
NAMES = ("demo", *READERS)


def canonical_name(name: str) -> str:
    """The dataset's name from any usual spelling ('V-HICO', 'YouCook-Interactions').

    Raises:
        InputError: no dataset is called so.
    """
    if name in NAMES:
        return name
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = ALIASES.get(plain, plain)
    if plain not in NAMES:
        raise InputError(f"There is no dataset '{name}'; choose one of {', '.join(NAMES)}.")
    return plain


def read_dataset(name: str, root: Path | None, options: ReadOptions | None = None) -> Dataset:
    """Read a dataset from its folder (not the demo world, which is made and not read).

    Raises:
        InputError: unknown name, no such folder, or files that are not as published.
    """
    name = canonical_name(name)
    if name not in READERS:
        raise InputError(f"The dataset '{name}' is made by the project itself and has no files.")
    if root is None:
        raise InputError(f"The dataset '{name}' needs --root DIR, the folder with its files.")
    check_root(root)
    options = options or ReadOptions()
    return resolve(name, root, READERS[name](root, options), options)
