"""Loads models by name, see `videogem.backbones.names`."""

import json
import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from videogem.backbones.base import name_keys
from videogem.backbones.hub import fetch, fetch_repository, first_line, open_clip_files
from videogem.backbones.names import (
    SHIPPED,
    VICLIP_FILES,
    VICLIP_REPOSITORY,
    ModelName,
    parse_model_name,
)
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.viclip import (
    VICLIP_B_16,
    VICLIP_L_14,
    ViCLIP,
    ViCLIPBackbone,
    ViCLIPConfig,
)
from videogem.errors import InputError
from videogem.method.backbone import Backbone
from videogem.method.settings import Dtype

VICLIP_CONFIGS = {"ViCLIP-B-16": VICLIP_B_16, "ViCLIP-L-14": VICLIP_L_14}


def load_backbone(name: str, *, device: str = "auto", image_size: int | None = None) -> Backbone:
    """Load a model by name, see the table in `videogem.backbones.names`.

    Raises:
        InputError: unknown name, missing or unreadable weights, or a tower that does not fit.
    """
    parsed = parse_model_name(name)
    target = pick_device(device)
    if parsed.architecture is None:
        path = parsed.path or SHIPPED[name]
        return load_with_config(path, name, target, image_size)
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
            f"The device '{device}' cannot be used here ({first_line(error)}); "
            f"use 'cpu', 'cuda' or 'auto'."
        ) from error
    return torch.device(device)


def set_precision(model: torch.nn.Module, dtype: Dtype) -> None:
    """Hold the image tower's weights in this precision; the text tower stays in fp32."""
    tower = model.vision_encoder if isinstance(model, ViCLIP) else model.visual
    tower.to(torch.bfloat16 if dtype == "bf16" else torch.float32)


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
            f"The weights file '{path}' cannot be read: {first_line(error)}"
        ) from error
    except pickle.UnpicklingError as error:
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
) -> Backbone:
    """A checkpoint with its ``model_config.json`` beside it.

    That is an open_clip model config, or for a ViCLIP ``{"viclip": {...}}`` with the fields of
    `ViCLIPConfig`. The token table may be stored as ``token_embedding.rows`` at
    ``token_embedding.index``, as in the demo models; words outside it embed to zero.
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
    if "viclip" in config:
        return load_viclip(path, ViCLIPConfig(**config["viclip"]), name, device, image_size)
    text = config["text_cfg"]
    quick_gelu = config.get("quick_gelu", False)
    model = CLIP(config["embed_dim"], config["vision_cfg"], text, quick_gelu)
    _load_state(model, _expand_token_table(read_state_dict(path), text["vocab_size"]), path)
    tokenizer = SimpleTokenizer(context_length=text["context_length"])
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
    tags = [tag for architecture, tag in VICLIP_FILES if architecture == name.architecture]
    file = VICLIP_FILES.get((name.architecture or "", name.tag or ""))
    if file is None:
        raise InputError(
            f"There are no weights '{name.tag}' for '{name.architecture}'; "
            f"there are: {', '.join(tags)}."
        )
    return fetch(VICLIP_REPOSITORY, [file])


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

    if name.text.startswith("hf-hub:"):
        architecture = f"local-dir:{fetch_repository(name.text)}"
    else:
        architecture = _known_architecture(name)
    path = name.path
    if name.tag is not None:
        path = fetch(*open_clip_files(architecture, name.tag))
    with _no_random_weights_warning():
        model = open_clip.create_model(
            architecture, force_quick_gelu=_needs_quick_gelu(name), load_weights=path is None
        )
    if name.tag is not None:
        open_clip.load_checkpoint(model, str(path), weights_only=True)
    elif path is not None:
        _load_state(model, read_state_dict(path), path)
    tokenizer = open_clip.get_tokenizer(architecture)
    return OpenCLIPBackbone(model.to(device), tokenizer, name=name.text, image_size=image_size)


def _known_architecture(name: ModelName) -> str:
    """The architecture of a name, if open_clip has it (and its tag); else InputError."""
    import open_clip

    architecture = name.architecture or ""
    if architecture not in open_clip.list_models():
        raise InputError(
            f"open_clip knows no architecture '{architecture}' (model '{name.text}'); "
            f"`videogem models` lists them."
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if name.tag is not None and name.tag not in tags:
        raise InputError(
            f"open_clip has no weights '{name.tag}' for '{architecture}'; "
            f"there are: {', '.join(tags) or 'none'}."
        )
    return architecture


@contextmanager
def _no_random_weights_warning() -> Iterator[None]:
    """Silence open_clip while it builds a model whose weights are loaded right afterwards."""

    def is_other(record: logging.LogRecord) -> bool:
        return "initialized randomly" not in str(record.msg)

    root = logging.getLogger()
    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)


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
