"""Checkpoints: files of tensors, read without running code, and put into a model whole."""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from videogem.backbones.base import name_keys
from videogem.backbones.plain_clip import PlainCLIP
from videogem.errors import InputError, first_line

# Written by OpenAI, and by transformers before 4.31; they hold no weights.
_NO_WEIGHTS = {
    "input_resolution",
    "context_length",
    "vocab_size",
    "text.transformer.embeddings.position_ids",
}


# What safetensors and torch raise at damaged files; torch takes pickles apart unchecked.
DAMAGE = (
    SafetensorError, RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError,
    AttributeError, struct.error,
)  # fmt: skip


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors; pickles are read with ``weights_only=True``.

    Raises:
        InputError: the file is missing or is no checkpoint.
    """
    if not path.is_file():
        raise InputError(f"There is no weights file '{path}'; give the path of a checkpoint.")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except DAMAGE as error:
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


def _read_pickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        unknown = _unknown_classes(path)
        if not unknown or any(name.rpartition(".")[2] != "EasyDict" for name in unknown):
            raise
    # ViCLIP's own checkpoints keep training settings in dictionaries of a class of theirs. It is
    # not imported: a plain dictionary takes its place.
    with torch.serialization.safe_globals([(OrderedDict, name) for name in unknown]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _unknown_classes(path: Path) -> list[str]:
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError):  # the older form without an archive
        return []


def expand_token_table(state: dict[str, Tensor], vocab_size: int) -> dict[str, Tensor]:
    """Undo the compact form of a token table: ``rows`` at ``index``, zero elsewhere."""
    for key in [key for key in state if key.endswith("token_embedding.rows")]:
        stem = key.removesuffix("rows")
        rows, index = state.pop(key), state.pop(f"{stem}index").long()
        table = rows.new_zeros(vocab_size, rows.shape[1])
        state[f"{stem}weight"] = table.index_copy(0, index, rows)
    return state


def as_open_clip(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint of another layout (MobileCLIP's, older CoCa's) with open_clip's keys."""
    if isinstance(model, PlainCLIP):
        return state
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    own = model.state_dict()
    for key in ("logit_scale", "logit_bias"):  # a number, or a list of one
        if key in state and key in own and state[key].numel() == own[key].numel():
            state[key] = state[key].reshape(own[key].shape)
    return state


def load_state(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Put every tensor of a checkpoint into a model, in the model's precision.

    Raises:
        InputError: tensors are missing, too many, of another shape or quantised.
    """
    own = model.state_dict()
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys() - _NO_WEIGHTS
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
        if value.is_floating_point() and not state[key].is_floating_point():
            raise InputError(
                f"'{path}' holds '{key}' as whole numbers ({state[key].dtype}), as quantised "
                f"weights do; give a checkpoint in float32, float16 or bfloat16."
            )
    model.load_state_dict({key: state[key] for key in own})
