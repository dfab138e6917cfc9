"""Checkpoints: files of tensors, read without running code, and put into a model whole."""

import math
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
        found = state.get(key)
        if isinstance(found, Tensor) and key in own and found.numel() == own[key].numel():
            state[key] = found.reshape(own[key].shape)
    return state


def load_state(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Put every tensor of a checkpoint into a model, in the model's precision.

    Raises:
        InputError: tensors are missing, too many, of another shape, quantised, without values, or
            not finite; or all matrices are of one value each.
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
    learned = False
    for key, value in own.items():
        _check_plain(key, state[key], path)
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
        learned |= _check_values(key, state[key], path)
    if not learned:
        raise InputError(
            f"'{path}' holds nothing learned: each matrix in it has one value throughout, as in a "
            f"file that was never filled; give another checkpoint."
        )
    model.load_state_dict({key: state[key] for key in own})


def _check_plain(key: str, value: object, path: Path) -> None:
    plain = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
    if not plain or (isinstance(value, Tensor) and value.is_quantized):
        kind = type(value).__name__ if not isinstance(value, Tensor) else str(value.layout)
        raise InputError(
            f"'{path}' holds '{key}' in a form without plain values ({kind}); give a checkpoint of "
            f"dense tensors in float32, float16 or bfloat16."
        )


def _check_values(key: str, value: Tensor, path: Path) -> bool:
    """Whether it is a matrix with different values; one look at each, 0.1 s for ViT-B/16.

    Raises:
        InputError: some are NaN or infinite.
    """
    if not value.is_floating_point() or not value.numel():
        return False
    value = value.float() if value.itemsize < 2 else value  # torch compares none so small
    least, most = (bound.item() for bound in torch.aminmax(value))
    if not (math.isfinite(least) and math.isfinite(most)):
        raise InputError(
            f"'{path}' holds '{key}' with values that are no finite numbers (NaN or infinite): its "
            f"training or conversion went wrong; give another checkpoint."
        )
    return value.dim() > 1 and least < most
