"""Image models of open_clip: by architecture and tag, repository of the hub, or config beside.

open_clip itself, which takes seconds, is imported for what `plain_clip` cannot make.
"""

import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn

from videogem.backbones.architectures import check_architecture, needs_transformers, patch_size
from videogem.backbones.base import check_image_size
from videogem.backbones.checkpoints import (
    as_open_clip,
    expand_token_table,
    load_state,
    read_state_dict,
)
from videogem.backbones.configs import ModelConfig, config_beside, read_config
from videogem.backbones.family import Family, Wanted, set_precision
from videogem.backbones.names import CONFIG_FILES, ModelName
from videogem.backbones.openclip import OPENAI_MEAN, OPENAI_STD, OpenCLIPBackbone
from videogem.backbones.plain_clip import CONTEXT_LENGTH, PlainCLIP, is_plain, make_tokenizer
from videogem.errors import InputError, first_line

logger = logging.getLogger(__name__)

_HUB = "hf-hub:"


def load(wanted: Wanted) -> OpenCLIPBackbone:
    """A model of open_clip's.

    The token table may be stored as ``token_embedding.rows`` at ``token_embedding.index``, as in
    the demo model; words outside it embed to zero.
    """
    config = wanted.config or _config_of(wanted.name)
    check_architecture(config.model, wanted.name.text)
    check_image_size(wanted.image_size, patch_size(config.model), wanted.name.text)
    if wanted.name.architecture is not None and wanted.name.path is not None:
        config = _with_config_beside(config, wanted.name.path, wanted.name)
    weights = _repository_weights if wanted.name.text.startswith(_HUB) else Wanted.weights
    return _build(config, weights(wanted), wanted)


def _config_of(name: ModelName) -> ModelConfig:
    if name.text.startswith(_HUB):
        from videogem.backbones.hub import CONFIG_FILE, fetch

        return read_config(fetch(name.text.removeprefix(_HUB), [CONFIG_FILE]))
    return _architecture_config(name)


def _repository_weights(wanted: Wanted) -> Path:
    from videogem.backbones.hub import OPEN_CLIP_FILES, fetch_repository

    folder = fetch_repository(wanted.name.text)
    for file in OPEN_CLIP_FILES:
        if (folder / file).is_file():
            return folder / file
    raise InputError(
        f"The repository '{wanted.name.text.removeprefix(_HUB)}' has no weights of open_clip's: "
        f"{' or '.join(OPEN_CLIP_FILES)}."
    )


def _architecture_config(name: ModelName) -> ModelConfig:
    """The config of an architecture that open_clip knows, and what its tag was trained with."""
    import open_clip

    architecture = name.architecture or ""
    model = open_clip.get_model_config(architecture)
    if name.tag is None:
        return ModelConfig(model)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if name.tag not in tags:
        raise InputError(
            f"open_clip has no weights '{name.tag}' for '{architecture}'; "
            f"there are: {', '.join(tags) or 'none'}."
        )
    pictures = open_clip.get_pretrained_cfg(architecture, name.tag) or {}
    return ModelConfig(model | {"quick_gelu": bool(pictures.get("quick_gelu"))}, pictures)


def _with_config_beside(config: ModelConfig, path: Path, name: ModelName) -> ModelConfig:
    """An architecture's config with what a config beside the weights adds: GELU, normalisation.

    A config whose towers have other sizes is about another file and is not looked at.
    """
    beside = config_beside(path)
    if beside is not None:
        found = read_config(beside)
        if _same_towers(config.model, found.model):
            if "quick_gelu" not in found.model:
                config = ModelConfig(config.model, found.pictures)
            elif found.model["quick_gelu"] or not config.model.get("quick_gelu"):
                return ModelConfig(
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
    import open_clip

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


def _build(config: ModelConfig, path: Path, wanted: Wanted) -> OpenCLIPBackbone:
    """A model of an open_clip config with its weights in it."""
    name = wanted.name.text
    model_config = deepcopy(config.model)
    text = model_config["text_cfg"]
    model: Any  # torch types submodules as Tensor | Module
    try:
        model = build_model(model_config)
        tokenizer = _make_tokenizer(text, path.parent)
    except (TypeError, AssertionError, OSError, ValueError, ArithmeticError, RuntimeError) as error:
        raise InputError(
            f"The config of '{name}' makes no open_clip model: {first_line(error)}."
        ) from error
    state = expand_token_table(read_state_dict(path), text.get("vocab_size", 49408))
    load_state(model, as_open_clip(model, state), path)
    usual = {"mean": OPENAI_MEAN, "std": OPENAI_STD, "interpolation": "bicubic"}
    told = {key: value for key, value in config.pictures.items() if value is not None}
    model.visual.preprocess_cfg = usual | told
    set_precision(model.visual, wanted.dtype)
    kind = _kind_of_backbone(config.model)
    return kind(model.to(wanted.device), tokenizer, name=name, image_size=wanted.image_size)


def _kind_of_backbone(config: Mapping[str, Any]) -> type[OpenCLIPBackbone]:
    """What reads a model of this config."""
    if not config["vision_cfg"].get("timm_model_name"):
        return OpenCLIPBackbone
    from videogem.backbones.timm_towers import TimmBackbone

    return TimmBackbone


def build_model(config: dict[str, Any]) -> nn.Module:
    """A model with random weights; which class it is of, the config says.

    Source: open_clip 3.3, ``factory.create_model``, which takes no config of one's own.
    """
    if is_plain(config):
        return PlainCLIP(**config)
    import open_clip

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
    length = text.get("context_length", CONTEXT_LENGTH)
    options = dict(text.get("tokenizer_kwargs") or {})
    if not needs_transformers({"text_cfg": text}):
        return make_tokenizer(length, **options)
    source = text.get("hf_tokenizer_name") or text["hf_model_name"]
    if (folder / "tokenizer_config.json").is_file():  # the repository's own
        source = str(folder)
    mode = text.get("tokenizer_mode")
    from open_clip.tokenizer import HFTokenizer

    return HFTokenizer(source, context_length=length, tokenizer_mode=mode, **options)


def _knows(architecture: str) -> bool:
    if architecture.startswith(_HUB):
        return True
    import open_clip

    return open_clip.get_model_config(architecture) is not None


FAMILY = Family("open_clip", _knows, load)
