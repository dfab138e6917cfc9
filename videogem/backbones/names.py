"""Names of models, taken apart without loading anything (and without torch).

| name | means |
|---|---|
| ``demo`` | the small image model that ships with the project; knows the emoji world only |
| ``demo-viclip`` | the small video model that ships with the project, for the same world |
| ``ViT-B-16/openai`` | an open_clip architecture and pretrained tag, from the Hugging Face hub |
| ``ViT-B-16:/path/weights.safetensors`` | an open_clip architecture and a local checkpoint |
| ``/path/model.safetensors`` | a local checkpoint with its config beside it, see `CONFIG_FILES` |
| ``ViCLIP-B-16:/path/weights.pth`` | a ViCLIP (also ``ViCLIP-L-14``) from a local checkpoint |
| ``ViCLIP-B-16/internvid-10m-flt`` | the same from the Hugging Face hub |
| ``hf-hub:org/name`` | an open_clip model repository on the Hugging Face hub |
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from videogem.backbones.manifest import hub_weights
from videogem.errors import InputError, meant

_DATA = Path(str(resources.files("videogem"))) / "data"
SHIPPED = {
    "demo": _DATA / "demo" / "model.safetensors",
    "demo-viclip": _DATA / "demo-viclip" / "model.safetensors",
}
"""Models that come with the project."""

CONFIG_FILES = ("open_clip_config.json", "model_config.json")
"""What a config beside local weights may be called, first found first."""


@dataclass(frozen=True)
class ModelName:
    """A model name taken apart: an architecture with a tag or a path, or neither if shipped."""

    text: str
    architecture: str | None = None
    tag: str | None = None
    path: Path | None = None


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
        f"Unknown model '{name}'.{did_you_mean(name)} Give 'demo', an open_clip name and tag such "
        f"as 'ViT-B-16/openai', or an open_clip name and a file such as "
        f"'ViT-B-16:/path/weights.safetensors'; `videogem models` lists what there is."
    )


def did_you_mean(name: str) -> str:
    """The best known names that are spelled like this one, as a sentence; else nothing.

    >>> did_you_mean("vit-b-16/open-ai")
    " Did you mean 'ViT-B-16/openai'?"
    >>> did_you_mean("resnet")
    ''
    """
    return meant(name, (*SHIPPED, *hub_weights()))
