"""Names of models, taken apart without loading anything (and without torch).

| name | means |
|---|---|
| ``demo`` | the small image model that ships with the project; knows the emoji world only |
| ``demo-viclip`` | the small video model that ships with the project, for the same world |
| ``ViT-B-16/openai`` | an open_clip architecture and pretrained tag; downloaded once by open_clip |
| ``ViT-B-16:/path/weights.safetensors`` | an open_clip architecture and a local checkpoint |
| ``/path/model.safetensors`` | a local checkpoint with its ``model_config.json`` beside it |
| ``ViCLIP-B-16:/path/weights.pth`` | a ViCLIP (also ``ViCLIP-L-14``) from a local checkpoint |
| ``ViCLIP-B-16/internvid-10m-flt`` | the same from the Hugging Face hub, see `VICLIP_FILES` |
| ``hf-hub:org/name`` | an open_clip model repository on the Hugging Face hub |
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from videogem.errors import InputError
from videogem.method.settings import method_settings, version_string

_DATA = Path(str(resources.files("videogem"))) / "data"
SHIPPED = {
    "demo": _DATA / "demo" / "model.safetensors",
    "demo-viclip": _DATA / "demo-viclip" / "model.safetensors",
}
"""Models that come with the project."""

VICLIP_REPOSITORY = "OpenGVLab/ViCLIP"
VICLIP_FILES = {
    ("ViCLIP-B-16", "internvid-10m-flt"): "ViCLIP-B_InternVid-FLT-10M.pth",
    ("ViCLIP-B-16", "internvid-200m"): "ViCLIP-B_InternVid-200M.pth",
    ("ViCLIP-L-14", "internvid-10m-flt"): "ViCLIP-L_InternVid-FLT-10M.pth",
    ("ViCLIP-L-14", "internvid-200m"): "ViCLIP-L_InternVid-200M.pth",
}
"""Architecture and tag -> file in the hub repository of ViCLIP's authors."""


@dataclass(frozen=True)
class ModelName:
    """A model name taken apart: an architecture with a tag or a path, or neither if shipped."""

    text: str
    architecture: str | None = None
    tag: str | None = None
    path: Path | None = None

    @property
    def version(self) -> str:
        """Short name for version strings; a local file counts by name and size."""
        if self.path is None:
            return self.text
        size = self.path.stat().st_size if self.path.exists() else 0
        return f"{self.architecture or 'local'}:{self.path.name}:{size}"


def parse_model_name(name: str) -> ModelName:
    """Take a model name apart without loading anything.

    Raises:
        InputError: the name has none of the known forms.
    """
    if name in SHIPPED:
        return ModelName(name)
    if name.startswith("hf-hub:"):
        return ModelName(name, architecture=name)
    if Path(name).suffix in (".safetensors", ".pt", ".pth", ".bin") and ":" not in name:
        return ModelName(name, path=Path(name))
    if ":" in name:
        architecture, _, path = name.partition(":")
        return ModelName(name, architecture=architecture, path=Path(path))
    if "/" in name:
        architecture, _, tag = name.partition("/")
        return ModelName(name, architecture=architecture, tag=tag)
    raise InputError(
        f"Unknown model '{name}'. Give 'demo', an open_clip name and tag such as 'ViT-B-16/openai',"
        f" or an open_clip name and a file such as 'ViT-B-16:/path/weights.safetensors'; "
        f"`videogem models` lists what there is."
    )


def planned_version(
    model: str = "demo", method: str = "videogem", *, image_size: int | None = None, **settings: Any
) -> str:
    """The version a grounder of this model and method will report, before it is loaded."""
    size = "" if image_size is None else f"@{image_size}"
    return version_string(
        parse_model_name(model).version + size, method_settings(method, **settings)
    )
