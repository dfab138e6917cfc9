"""The image tower's output in files, so that more methods and sentences need no second pass.

Full precision, because cached and fresh runs must give equal numbers: some 10 MB a frame for a
ViT-B/16 at 224 pixels. The folder may be deleted at any time.
"""

import hashlib
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from videogem.backbones.token_cache import clip_key
from videogem.method.backbone import ImageTokens
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip


class TokenFiles:
    """One file per frame (or clip), model and settings; safe between processes."""

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder
        self._model = model

    def get(
        self, clip: Clip, settings: AttentionSettings, device: torch.device
    ) -> ImageTokens | None:
        """The stored tokens, or None; a damaged file counts as none."""
        try:
            stored = load_file(self._path(clip, settings), device=str(device))
        except (OSError, SafetensorError):
            return None
        rows, columns, frames = stored["grid"].tolist()
        return ImageTokens(
            residual=stored["residual"],
            self_self=stored["self_self"],
            output=stored["output"],
            grid=(rows, columns, frames),
            values=stored.get("values"),
            value_value=stored.get("value_value"),
        )

    def put(self, clip: Clip, settings: AttentionSettings, tokens: ImageTokens) -> None:
        """Store tokens; the file appears whole or not at all."""
        path = self._path(clip, settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {
            "residual": tokens.residual,
            "self_self": tokens.self_self,
            "output": tokens.output,
            "grid": torch.tensor(tokens.grid),
        }
        if tokens.values is not None and tokens.value_value is not None:
            stored |= {"values": tokens.values, "value_value": tokens.value_value}
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        save_file({name: value.cpu().contiguous() for name, value in stored.items()}, unfinished)
        unfinished.replace(path)

    def _path(self, clip: Clip, settings: AttentionSettings) -> Path:
        text = f"{self._model} {sorted(asdict(settings).items())}"
        kind = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._folder / kind / f"{clip_key(clip).hex()}.safetensors"
