"""Loads models by name, see `videogem.backbones.names`."""

import json
import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.timm_model import TimmModel
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from torch import nn

from videogem.backbones.architectures import (
    check_architecture,
    needs_transformers,
    patch_size,
)
from videogem.backbones.base import check_image_size
from videogem.backbones.checkpoints import (
    as_open_clip,
    expand_token_table,
    load_state,
    read_state_dict,
)
from videogem.backbones.hub import (
    CONFIG_FILE,
    OPEN_CLIP_FILES,
    fetch,
    fetch_repository,
    first_line,
)
from videogem.backbones.manifest import hub_weights
from videogem.backbones.names import CONFIG_FILES, SHIPPED, ModelName, parse_model_name
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.timm_towers import TimmBackbone
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

logger = logging.getLogger(__name__)

VICLIP_CONFIGS = {"ViCLIP-B-16": VICLIP_B_16, "ViCLIP-L-14": VICLIP_L_14}


@dataclass(frozen=True)
class _Config:
    """What open_clip's config says of a model and of the pictures it was trained with."""

    model: dict[str, Any]
    pictures: Mapping[str, Any] = field(default_factory=dict)  # mean, std, interpolation


def load_backbone(
    name: str, *, device: str = "auto", image_size: int | None = None, dtype: Dtype = "fp32"
) -> Backbone:
    """Load a model by name, see the table in `videogem.backbones.names`.

    ``dtype`` is the precision of the image tower; `planned_version` takes the same.

    Raises:
        InputError: unknown name, missing or unreadable weights, or a tower that does not fit; what
            a config tells is said before weights are fetched.
    """
    parsed = parse_model_name(name)
    target = pick_device(device)
    if parsed.architecture is None:
        path = parsed.path or SHIPPED[name]
        return load_with_config(path, name, target, image_size, dtype)
    if parsed.architecture in VICLIP_CONFIGS:
        config = VICLIP_CONFIGS[parsed.architecture]
        check_image_size(image_size, config.patch_size, name)
        path = parsed.path or _fetch_tag(parsed)
        return load_viclip(path, config, name, target, image_size, dtype)
    return _load_open_clip(parsed, target, image_size, dtype)


def decode_on_device(backbone: Backbone) -> None:
    """Let the GPU decode JPEG for this backbone.

    Raises:
        InputError: it cannot: a video model, no GPU, or no nvJPEG.
    """
    if not isinstance(backbone, OpenCLIPBackbone):
        raise InputError(f"'{backbone.name}' looks at videos; JPEG is decoded by the CPU for it.")
    backbone.decode_jpeg_on_device()


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


def set_precision(model: nn.Module, dtype: Dtype) -> None:
    """Hold the image tower's weights in this precision; the text tower stays in fp32."""
    tower = model.vision_encoder if isinstance(model, ViCLIP) else model.visual
    tower.to(torch.bfloat16 if dtype == "bf16" else torch.float32)


def load_with_config(
    path: Path, name: str, device: torch.device, image_size: int | None, dtype: Dtype = "fp32"
) -> Backbone:
    """A checkpoint with its config beside it, see `CONFIG_FILES`.

    That is an open_clip config, with or without what the hub puts round it (``model_cfg``,
    ``preprocess_cfg``), or for a ViCLIP ``{"viclip": {...}}`` with the fields of `ViCLIPConfig`.
    The token table may be stored as ``token_embedding.rows`` at ``token_embedding.index``, as in
    the demo models; words outside it embed to zero.
    """
    if not path.is_file():
        raise InputError(f"There is no weights file '{path}'; give the path of a checkpoint.")
    config_path = _config_beside(path)
    if config_path is None:
        raise InputError(
            f"'{path}' needs its open_clip model config beside it as '{CONFIG_FILES[-1]}' or "
            f"'{CONFIG_FILES[0]}', or give the architecture: 'ViT-B-16:{path}'."
        )
    config = _read_config(config_path)
    if "viclip" in config.model:
        return load_viclip(
            path, _viclip_config(config_path, config), name, device, image_size, dtype
        )
    _check_config(config, name, image_size)
    return _build(config, lambda: path, name, device, image_size, dtype)


def load_viclip(
    path: Path,
    config: ViCLIPConfig,
    name: str,
    device: torch.device,
    image_size: int | None,
    dtype: Dtype = "fp32",
) -> ViCLIPBackbone:
    """A ViCLIP checkpoint with the keys its authors publish.

    Their ``.pth`` files hold the tensors below ``model``, beside training settings; the
    ``model.safetensors`` of their ``-hf`` repositories holds the same keys and nothing else.
    """
    model = ViCLIP(config)
    load_state(model, expand_token_table(read_state_dict(path), config.vocab_size), path)
    set_precision(model, dtype)
    tokenizer = open_clip.SimpleTokenizer(context_length=config.context_length)
    return ViCLIPBackbone(model.to(device), tokenizer, name=name, image_size=image_size)


def _fetch_tag(name: ModelName) -> Path:
    """Weights of an architecture and tag, from the hub or its cache."""
    known = hub_weights()
    if (found := known.get(name.text)) is not None:
        return fetch(found.repository, found.files)
    tags = [text.partition("/")[2] for text in known if text.startswith(f"{name.architecture}/")]
    raise InputError(
        f"There are no weights '{name.tag}' for '{name.architecture}' on the hub; "
        f"there are: {', '.join(tags) or 'none'}. For others give a local file: "
        f"'{name.architecture}:/path/to/weights.safetensors'."
    )


def _load_open_clip(
    name: ModelName, device: torch.device, image_size: int | None, dtype: Dtype
) -> Backbone:
    if name.text.startswith("hf-hub:"):
        repository = name.text.removeprefix("hf-hub:")
        config = _read_config(fetch(repository, [CONFIG_FILE]))
        _check_config(config, name.text, image_size)

        def weights() -> Path:
            folder = fetch_repository(name.text)
            for file in OPEN_CLIP_FILES:
                if (folder / file).is_file():
                    return folder / file
            raise InputError(
                f"The repository '{repository}' has no weights of open_clip's: "
                f"{' or '.join(OPEN_CLIP_FILES)}."
            )

        return _build(config, weights, name.text, device, image_size, dtype)
    config = _architecture_config(name)
    _check_config(config, name.text, image_size)
    if name.path is not None:
        config = _with_config_beside(config, name.path, name)
    return _build(
        config, lambda: name.path or _fetch_tag(name), name.text, device, image_size, dtype
    )


def _architecture_config(name: ModelName) -> _Config:
    """The config of an architecture that open_clip knows, and what its tag was trained with."""
    architecture = name.architecture or ""
    model = open_clip.get_model_config(architecture)
    if model is None:
        raise InputError(
            f"open_clip knows no architecture '{architecture}' (model '{name.text}'); "
            f"`videogem models --all` lists them."
        )
    if name.tag is None:
        return _Config(model)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if name.tag not in tags:
        raise InputError(
            f"open_clip has no weights '{name.tag}' for '{architecture}'; "
            f"there are: {', '.join(tags) or 'none'}."
        )
    pictures = open_clip.get_pretrained_cfg(architecture, name.tag) or {}
    return _Config(model | {"quick_gelu": bool(pictures.get("quick_gelu"))}, pictures)


def _with_config_beside(config: _Config, path: Path, name: ModelName) -> _Config:
    """An architecture's config with what a config beside the weights adds: GELU, normalisation.

    A config whose towers have other sizes is about another file and is not looked at.
    """
    beside = _config_beside(path)
    if beside is not None:
        found = _read_config(beside)
        if _same_towers(config.model, found.model):
            if "quick_gelu" not in found.model:
                config = _Config(config.model, found.pictures)
            elif found.model["quick_gelu"] or not config.model.get("quick_gelu"):
                return _Config(
                    config.model | {"quick_gelu": found.model["quick_gelu"]}, found.pictures
                )
            else:
                raise InputError(
                    f"'{name.architecture}' says QuickGELU, '{beside}' says GELU; leave one out."
                )
    if not config.model.get("quick_gelu") and "timm_model_name" not in config.model["vision_cfg"]:
        _tell_what_is_taken(path, name, normalisation_known=bool(config.pictures))
    return config


def _tell_what_is_taken(path: Path, name: ModelName, *, normalisation_known: bool) -> None:
    taken = "GELU is" if normalisation_known else "GELU and OpenAI's mean and std are"
    quick = f"{name.architecture}-quickgelu"
    if quick in open_clip.list_models():
        taken += f" taken; weights of OpenAI, DFN and MetaCLIP need '{quick}:{path}'"
    else:
        taken += " taken"
    logger.warning(
        "Nothing says how '%s' was trained: %s. To tell it, put a '%s' beside the file: %s",
        path,
        taken,
        CONFIG_FILES[0],
        '{"model_cfg": {"quick_gelu": false}, "preprocess_cfg": {"mean": [...], "std": [...]}}',
    )


def _same_towers(model: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether no size that both configs name differs."""
    pairs = [(model, other)]
    pairs += [(model[part], other.get(part, {})) for part in ("vision_cfg", "text_cfg")]
    return all(
        own[key] == theirs[key]
        for own, theirs in pairs
        for key in ("embed_dim", "layers", "width", "patch_size", "image_size")
        if key in own and key in theirs
    )


def _config_beside(path: Path) -> Path | None:
    return next((p for file in CONFIG_FILES if (p := path.parent / file).is_file()), None)


def _read_config(path: Path) -> _Config:
    """A config file, in the hub's form or without its frame."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"The model config '{path}' is no JSON: {first_line(error)}.") from error
    if not isinstance(found, dict) or not isinstance(found.get("model_cfg", {}), dict):
        raise InputError(f"The model config '{path}' must hold a JSON object.")
    pictures = found.get("preprocess_cfg") or {}
    for key in ("mean", "std"):
        values = pictures.get(key, [0.5] * 3)
        if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
            raise InputError(f"'{key}' in '{path}' must be three numbers, got {values}.")
    return _Config(found.get("model_cfg", found), pictures)


def _check_config(config: _Config, name: str, image_size: int | None) -> None:
    """Raise InputError for what a config tells before any weights are there."""
    check_architecture(config.model, name)
    check_image_size(image_size, patch_size(config.model), name)


def _viclip_config(path: Path, config: _Config) -> ViCLIPConfig:
    try:
        return ViCLIPConfig(**config.model["viclip"])
    except TypeError as error:
        names = ", ".join(one.name for one in fields(ViCLIPConfig))
        raise InputError(
            f"'viclip' in '{path}' must have the fields {names} ({first_line(error)})."
        ) from error


def _build(
    config: _Config,
    weights: Callable[[], Path],
    name: str,
    device: torch.device,
    image_size: int | None,
    dtype: Dtype,
) -> OpenCLIPBackbone:
    """A model of an open_clip config with its weights in it."""
    path = weights()
    model_config = deepcopy(config.model)
    text = model_config["text_cfg"]
    try:
        model = build_model(model_config)
        tokenizer = _make_tokenizer(text, path.parent)
    except (TypeError, AssertionError, OSError, ValueError) as error:
        raise InputError(
            f"The config of '{name}' makes no open_clip model: {first_line(error)}."
        ) from error
    state = expand_token_table(read_state_dict(path), text.get("vocab_size", 49408))
    load_state(model, as_open_clip(model, state), path)
    pictures = merge_preprocess_dict(asdict(PreprocessCfg()), dict(config.pictures))
    set_model_preprocess_cfg(model, pictures)
    set_precision(model, dtype)
    kind = TimmBackbone if isinstance(model.visual, TimmModel) else OpenCLIPBackbone
    return kind(model.to(device), tokenizer, name=name, image_size=image_size)


def build_model(config: dict[str, Any]) -> nn.Module:
    """A model with random weights; which of open_clip's classes it is, the config says.

    Source: open_clip 3.3, ``factory.create_model``, which takes no config of one's own.
    """
    text = config["text_cfg"]
    from_hub = "hf_model_name" in text
    if from_hub:
        text["hf_model_pretrained"] = False
    if not config.pop("custom_text", False) and not from_hub:
        return open_clip.CLIP(**config)
    if "multimodal_cfg" in config:
        return open_clip.CoCa(**config)
    return open_clip.CustomTextCLIP(**config)


def _make_tokenizer(text: Mapping[str, Any], folder: Path) -> Callable[[list[str]], Any]:
    length = text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
    options = dict(text.get("tokenizer_kwargs") or {})
    if not needs_transformers({"text_cfg": text}):
        return open_clip.SimpleTokenizer(context_length=length, **options)
    source = text.get("hf_tokenizer_name") or text["hf_model_name"]
    if (folder / "tokenizer_config.json").is_file():  # the repository's own
        source = str(folder)
    mode = text.get("tokenizer_mode")
    return open_clip.tokenizer.HFTokenizer(
        source, context_length=length, tokenizer_mode=mode, **options
    )
