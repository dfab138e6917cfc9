"""Which numbers a name stands for, said before anything is loaded (and without torch).

A version names the weights by their content or their revision on the hub, never by a file's name:
all checkpoints of one architecture tend to have the same.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from videogem.backbones.manifest import hub_weights
from videogem.backbones.names import CONFIG_FILES, ModelName, parse_model_name
from videogem.confidence.model import Scoring
from videogem.confidence.shipped import shipped_scoring
from videogem.method.settings import Dtype, JpegDecoder, method_settings, version_string
from videogem.narration.spacy_models import spacy_suffix

_DIGITS = 12  # of a hash or revision, in a version


def planned_version(
    model: str = "demo",
    method: str = "videogem",
    *,
    identity: str | None = None,
    image_size: int | None = None,
    dtype: Dtype = "fp32",
    compiled: bool = False,
    jpeg: JpegDecoder = "cpu",
    scoring: Scoring | None = None,
    **settings: Any,
) -> str:
    """The version a grounder of this model and method will report, before it is loaded.

    What the default has is left out (fp32, not compiled, JPEG decoded by the CPU, the weights' own
    input size, the pinned spaCy model), so that a new choice does not make older predictions look
    outdated. ``identity`` is that of the weights where it was taken before, see `weights_identity`.
    """
    chosen = method_settings(method, **settings)
    scoring = scoring or shipped_scoring(model, chosen, image_size)
    name = identity or weights_identity(model)
    size = "" if image_size is None else f"@{image_size}"
    numerics = ("" if dtype == "fp32" else f"+{dtype}") + ("+compiled" if compiled else "")
    numerics += "+nvjpeg" if jpeg == "gpu" else ""
    version = version_string(name + size + numerics, chosen) + spacy_suffix(chosen.spacy_model)
    return version if scoring is None else version + scoring.suffix


def weights_identity(model: str) -> str:
    """The model's name with the content of its local files, or its revision on the hub.

    Shipped weights go with the version of the package. Where hub weights are not on this machine
    yet, the hub is asked what it would send; the bare name stands where it cannot be asked.

    Raises:
        InputError: the name has none of the known forms.
    """
    name = parse_model_name(model)
    if name.path is not None:
        return f"{name.architecture or 'local'}:{_local_hash(name.path)}"
    revision = _hub_revision(name)
    return name.text if revision is None else f"{name.text}:{revision[:_DIGITS]}"


def content_hash(path: Path) -> str:
    """SHA-256 of a file, in hex; computed anew when its time or size changes.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


@lru_cache(maxsize=256)
def _sha256(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _local_hash(path: Path) -> str:
    """Short hash of a checkpoint and of the config beside it, which changes the numbers too."""
    parts = [path, *(path.parent / file for file in CONFIG_FILES)]
    try:
        hashes = [content_hash(part) for part in parts if part == path or part.is_file()]
    except OSError:
        return "missing"  # loading says so, with the path
    if len(hashes) == 1:
        return hashes[0][:_DIGITS]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:_DIGITS]


def _hub_revision(name: ModelName) -> str | None:
    known = hub_weights().get(name.text)
    if known is None and not name.text.startswith("hf-hub:"):
        return None
    from videogem.backbones.hub import CONFIG_FILE, revision

    if known is None:
        return revision(name.text.removeprefix("hf-hub:"), [CONFIG_FILE])
    return revision(known.repository, known.files)
