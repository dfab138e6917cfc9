"""The image tower's output in files, so that more methods and sentences need no second pass.

Full precision, because cached and fresh runs must give equal numbers: some 10 MB a frame for a
ViT-B/16 at 224 pixels. The folder may be deleted at any time.
"""

import hashlib
import os
import threading
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from videogem import __version__
from videogem.backbones.token_cache import clip_key
from videogem.method.backbone import ImageTokens
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip

_FORM = 2  # what is stored; files of another form are not looked at


class TokenFiles:
    """One file per frame (or clip), tower and settings; safe between processes and threads.

    ``tower`` is `Backbone.fingerprint`: weights, precision, input size and normalisation.
    """

    def __init__(self, folder: Path, tower: str) -> None:
        self._folder = folder
        self._tower = tower

    def get(
        self, clip: Clip, settings: AttentionSettings, device: torch.device
    ) -> ImageTokens | None:
        """The stored tokens, or None; a damaged file counts as none."""
        try:
            stored = load_file(self._path(clip, settings), device=str(device))
        except (OSError, SafetensorError):
            return None
        rows, columns, frames = stored.pop("grid").tolist()
        return ImageTokens(grid=(rows, columns, frames), **stored)

    def put(self, clip: Clip, settings: AttentionSettings, tokens: ImageTokens) -> None:
        """Store tokens; the file appears whole or not at all."""
        path = self._path(clip, settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = tokens.tensors | {"grid": torch.tensor(tokens.grid)}
        unfinished = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
        save_file({name: value.cpu().contiguous() for name, value in stored.items()}, unfinished)
        unfinished.replace(path)

    def _path(self, clip: Clip, settings: AttentionSettings) -> Path:
        text = f"{self._tower} {__version__} {_FORM} {sorted(asdict(settings).items())}"
        kind = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._folder / kind / f"{clip_key(clip).hex()}.safetensors"
