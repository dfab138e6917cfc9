"""The demo models' compact files, and the inverse temperature put into their weights."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from open_clip import CLIP
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from videogem.demo_world.captions import CONTEXT, START
from videogem.demo_world.scenes import SIDE

VOCABULARY_SIZE = START + 2
HEAD_DIM = 64
CONFIG: dict[str, Any] = {
    "embed_dim": 192,
    "vision_cfg": {
        "image_size": SIDE,
        "layers": 12,
        "width": 192,
        "head_width": HEAD_DIM,
        "patch_size": 16,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": VOCABULARY_SIZE,
        "width": 192,
        "heads": 3,
        "layers": 4,
    },
}
INVERSE_TEMPERATURE = 15.0
"""The inverse temperature that self-self attention finds in the last blocks of the demo models."""

_TABLE = "token_embedding."


def build_model() -> CLIP:
    """A new image model with random weights; seed torch before."""
    return CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], CONFIG["text_cfg"])


def save_weights(
    model: nn.Module,
    used_tokens: Sequence[int],
    path: Path,
    *,
    config: Mapping[str, Any] = CONFIG,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write fp16 weights with only the used rows of the token table, and the config beside them.

    The file appears whole or not at all.

    Raises:
        ValueError: a weight is not finite; what lay at ``path`` stays.
    """
    state = {key: value.detach().half().cpu() for key, value in model.state_dict().items()}
    broken = [key for key, value in state.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f"weights are not finite and were not saved: {', '.join(broken[:3])}")
    index = torch.tensor(used_tokens)
    table = next(key for key in state if key.endswith(f"{_TABLE}weight"))
    stem = table.removesuffix("weight")
    state[f"{stem}rows"] = state.pop(table)[index]
    state[f"{stem}index"] = index.int()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    tensors = {key: value.contiguous().clone() for key, value in state.items()}
    save_file(tensors, unfinished, metadata={"format": "pt", **(metadata or {})})
    unfinished.chmod(0o644)  # safetensors writes for the owner alone
    unfinished.replace(path)
    (path.parent / "model_config.json").write_text(json.dumps(config, indent=1) + "\n")


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a compact file in float32, the token table at full size, and its metadata."""
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118  no dict
        metadata = dict(file.metadata() or {})
    stem = next(key for key in state if key.endswith(f"{_TABLE}rows")).removesuffix("rows")
    rows, index = state.pop(f"{stem}rows"), state.pop(f"{stem}index").long()
    table = torch.zeros(VOCABULARY_SIZE, rows.shape[1])
    state[f"{stem}weight"] = table.index_copy(0, index, rows)
    return state, metadata


def load_weights(path: Path) -> tuple[CLIP, dict[str, str]]:
    """An image model from its compact file, and the file's metadata."""
    state, metadata = read_weights(path)
    model = build_model()
    model.load_state_dict(state)
    return model, metadata


@torch.no_grad()
def bake_inverse_temperature(
    encode: Callable[[], object],
    blocks: Iterable[Any],
    *,
    depth: int = 7,
    inverse_temperature: float = INVERSE_TEMPERATURE,
) -> list[float]:
    """Scale the last blocks' first layer norm so that the adaptive inverse temperature is this one.

    The method takes the mean norm of the normed tokens, over the root of the head size, as inverse
    temperature. In so narrow a tower that is about 1.7, which leaves self-self attention almost
    uniform. Scaling the layer norm up by c and the projection after it down by c computes the same
    function. A property put into these checkpoints on purpose; it says nothing about CLIP's own.

    ``encode`` runs the tower on typical inputs. Returns those found before.
    """
    norms: list[float] = []

    def note(_module: nn.Module, _inputs: object, normed: Tensor) -> None:
        norms.append(normed.norm(dim=-1).mean().item())

    last = list(blocks)[-depth:]
    handles = [block.ln_1.register_forward_hook(note) for block in last]
    encode()
    for handle in handles:
        handle.remove()
    found = [norm / HEAD_DIM**0.5 for norm in norms]
    for block, beta in zip(last, found, strict=True):
        rescale_block(block, inverse_temperature / beta)
    return found


@torch.no_grad()
def rescale_block(block: Any, factor: float) -> None:
    """Scale a block's first layer norm up and the projection after it down: the same function."""
    block.ln_1.weight.mul_(factor)
    block.ln_1.bias.mul_(factor)
    block.attn.in_proj_weight.div_(factor)
