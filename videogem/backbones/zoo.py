"""Model names -> loaded backbones.

| name | means |
|---|---|
| ``demo`` | the small model that ships with the project; knows the emoji world only |
| ``ViT-B-16/openai`` | an open_clip architecture and pretrained tag; downloaded once by open_clip |
| ``ViT-B-16:/path/weights.safetensors`` | an open_clip architecture and a local checkpoint |
| ``/path/model.safetensors`` | a local checkpoint with its ``model_config.json`` beside it |
| ``ViCLIP-B-16:/path/weights.pth`` | a ViCLIP (also ``ViCLIP-L-14``) from a local checkpoint |
| ``ViCLIP-B-16/internvid-10m-flt`` | the same from the Hugging Face hub, see `VICLIP_FILES` |
| ``hf-hub:org/name`` | an open_clip model repository on the Hugging Face hub |
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from videogem.backbones.base import Backbone, name_keys
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.viclip import (
    VICLIP_B_16,
    VICLIP_L_14,
    ViCLIP,
    ViCLIPBackbone,
    ViCLIPConfig,
)
from videogem.errors import InputError

DEMO_DIRECTORY = Path(str(resources.files("videogem"))) / "data" / "demo"


VICLIP_CONFIGS = {"ViCLIP-B-16": VICLIP_B_16, "ViCLIP-L-14": VICLIP_L_14}
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
    """A model name taken apart: an architecture with a tag or a path, or neither for ``demo``."""

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
    if name in ("demo",):
        return ModelName(name, path=None)
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


def load_backbone(name: str, *, device: str = "auto", image_size: int | None = None) -> Backbone:
    """Load a model by name, see the module's table.

    Raises:
        InputError: unknown name, missing or unreadable weights, or a tower that does not fit.
    """
    parsed = parse_model_name(name)
    target = pick_device(device)
    if name == "demo":
        return load_with_config(DEMO_DIRECTORY / "model.safetensors", "demo", target, image_size)
    if parsed.architecture is None:
        assert parsed.path is not None
        return load_with_config(parsed.path, name, target, image_size)
    if parsed.architecture in VICLIP_CONFIGS:
        config = VICLIP_CONFIGS[parsed.architecture]
        path = parsed.path or _fetch_viclip(parsed)
        return load_viclip(path, config, name, target, image_size)
    return _load_open_clip(parsed, target, image_size)


def pick_device(device: str) -> torch.device:
    """The device by name; ``auto`` is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"The device '{device}' cannot be used here ({_first_line(error)}); "
            f"use 'cpu', 'cuda' or 'auto'."
        ) from error
    return torch.device(device)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors; pickles are read with ``weights_only=True``.

    Raises:
        InputError: the file is missing or is no checkpoint.
    """
    if not path.is_file():
        raise InputError(f"There is no weights file '{path}'; give the path of a checkpoint.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise InputError(
            f"The weights file '{path}' cannot be read: {_first_line(error)}"
        ) from error
    except Exception as error:  # torch raises pickle.UnpicklingError subclasses of its own
        if type(error).__name__ != "UnpicklingError":
            raise
        raise InputError(
            f"The weights file '{path}' holds more than tensors and is not opened, as it could run "
            f"code; convert it to safetensors."
        ) from error
    for wrapper in ("state_dict", "model", "module"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise InputError(f"The weights file '{path}' must hold a state dict, got {type(state)}.")
    return {key.removeprefix("module."): value for key, value in state.items()}


def load_with_config(
    path: Path, name: str, device: torch.device, image_size: int | None
) -> OpenCLIPBackbone:
    """A checkpoint with an open_clip model config beside it.

    The token table may be stored as ``token_embedding.rows`` at ``token_embedding.index``, as in
    the demo model; words that are not in it embed to zero.
    """
    from open_clip import CLIP, SimpleTokenizer

    if not path.is_file():
        raise InputError(f"There is no weights file '{path}'; give the path of a checkpoint.")
    config_path = path.parent / "model_config.json"
    if not config_path.is_file():
        raise InputError(
            f"'{path}' needs its open_clip model config beside it as '{config_path.name}', or give "
            f"the architecture: 'ViT-B-16:{path}'."
        )
    config = json.loads(config_path.read_text())
    quick_gelu = config.get("quick_gelu", False)
    model = CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"], quick_gelu)
    state = _expand_token_table(read_state_dict(path), config["text_cfg"]["vocab_size"])
    _load_state(model, state, path)
    tokenizer = SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    return OpenCLIPBackbone(model.to(device), tokenizer, name=name, image_size=image_size)


def load_viclip(
    path: Path, config: ViCLIPConfig, name: str, device: torch.device, image_size: int | None
) -> ViCLIPBackbone:
    """A ViCLIP checkpoint with the keys its authors publish."""
    from open_clip import SimpleTokenizer

    model = ViCLIP(config)
    _load_state(model, _expand_token_table(read_state_dict(path), config.vocab_size), path)
    tokenizer = SimpleTokenizer(context_length=config.context_length)
    return ViCLIPBackbone(model.to(device), tokenizer, name=name, image_size=image_size)


def _fetch_viclip(name: ModelName) -> Path:
    """Path of a published checkpoint in the hub's cache, downloaded if it is not there."""
    from huggingface_hub import hf_hub_download

    tags = [tag for architecture, tag in VICLIP_FILES if architecture == name.architecture]
    file = VICLIP_FILES.get((name.architecture or "", name.tag or ""))
    if file is None:
        raise InputError(
            f"There are no weights '{name.tag}' for '{name.architecture}'; "
            f"there are: {', '.join(tags)}."
        )
    try:
        return Path(hf_hub_download(VICLIP_REPOSITORY, file))
    except (OSError, ValueError) as error:
        raise InputError(
            f"The weights of '{name.text}' could not be fetched ({_first_line(error)}); connect to "
            f"the internet once, or give a local file: '{name.architecture}:/path/to/{file}'."
        ) from error


def _expand_token_table(state: dict[str, Tensor], vocab_size: int) -> dict[str, Tensor]:
    """Undo the compact form of a token table: ``rows`` at ``index``, zero elsewhere."""
    for key in [key for key in state if key.endswith("token_embedding.rows")]:
        stem = key.removesuffix("rows")
        rows, index = state.pop(key), state.pop(f"{stem}index").long()
        table = rows.new_zeros(vocab_size, rows.shape[1])
        state[f"{stem}weight"] = table.index_copy(0, index, rows)
    return state


def _load_open_clip(
    name: ModelName, device: torch.device, image_size: int | None
) -> OpenCLIPBackbone:
    import open_clip

    assert name.architecture is not None
    if not name.text.startswith("hf-hub:") and name.architecture not in open_clip.list_models():
        raise InputError(
            f"open_clip knows no architecture '{name.architecture}' (model '{name.text}'); "
            f"`videogem models` lists them."
        )
    if name.tag is not None:
        tags = open_clip.list_pretrained_tags_by_model(name.architecture)
        if name.tag not in tags:
            raise InputError(
                f"open_clip has no weights '{name.tag}' for '{name.architecture}'; "
                f"there are: {', '.join(tags) or 'none'}."
            )
    quick_gelu = _needs_quick_gelu(name)
    try:
        model = open_clip.create_model(
            name.architecture,
            pretrained=name.tag,
            force_quick_gelu=quick_gelu,
            require_pretrained=name.tag is not None,
        )
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"The weights of '{name.text}' could not be fetched ({_first_line(error)}); connect to "
            f"the internet once, or give a local file: '{name.architecture}:/path/to/file'."
        ) from error
    if name.path is not None:
        _load_state(model, read_state_dict(name.path), name.path)
    tokenizer = open_clip.get_tokenizer(name.architecture)
    return OpenCLIPBackbone(model.to(device), tokenizer, name=name.text, image_size=image_size)


def _needs_quick_gelu(name: ModelName) -> bool:
    """Whether the weights were trained with QuickGELU: said by the tag, or by the file's name."""
    import open_clip

    if name.tag is not None:
        config = open_clip.get_pretrained_cfg(name.architecture, name.tag) or {}
        return bool(config.get("quick_gelu", False))
    return name.path is not None and "openai" in name.path.name.lower()


def _load_state(model: torch.nn.Module, state: dict[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    unexpected -= {"input_resolution", "context_length", "vocab_size"}  # in OpenAI's own files
    if missing or unexpected:
        parts = []
        if missing:
            parts.append(f"missing {name_keys(missing)}")
        if unexpected:
            parts.append(f"unexpected {name_keys(unexpected)}")
        raise InputError(f"'{path}' does not fit the architecture: {'; '.join(parts)}.")
    for key, value in own.items():
        if state[key].shape != value.shape:
            raise InputError(
                f"'{path}' does not fit the architecture: '{key}' must have shape "
                f"{tuple(value.shape)}, got {tuple(state[key].shape)}."
            )
    model.load_state_dict({key: state[key].float() for key in own})


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
