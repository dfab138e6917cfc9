"""A stand-in for the hub's cache: what its own client leaves behind after a download."""

from pathlib import Path

import torch
from safetensors.torch import save_file


def put_in_cache(
    cache: Path,
    repository: str,
    file: str,
    state: dict[str, torch.Tensor] | str = "{}",
    *,
    revision: str = "0123abc",
) -> Path:
    """Add a file of tensors, or of text, to a repository in the cache."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(revision)
    path = folder / "snapshots" / revision / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(state, str):
        path.write_text(state)
    else:
        save_file(state, path)
    return path
