"""The demo model: its size, its compact file, and the temperature put into its weights."""

import json
from pathlib import Path

import torch
from jaxtyping import Float
from open_clip import CLIP
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from videogem.datasets.demo_captions import CONTEXT, START
from videogem.datasets.demo_scenes import SIDE

CONFIG = {
    "embed_dim": 192,
    "vision_cfg": {
        "image_size": SIDE,
        "layers": 12,
        "width": 192,
        "head_width": 64,
        "patch_size": 16,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": START + 2,
        "width": 192,
        "heads": 3,
        "layers": 4,
    },
}
TEMPERATURE = 15.0
"""The inverse temperature that self-self attention finds in the last blocks of the demo model."""

_TABLE = "token_embedding.weight"


def build_model() -> CLIP:
    """A new model with random weights; seed torch before."""
    return CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], CONFIG["text_cfg"])


def save_weights(
    model: CLIP, used_tokens: list[int], path: Path, *, metadata: dict[str, str] | None = None
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
    state["token_embedding.rows"] = state.pop(_TABLE)[index]
    state["token_embedding.index"] = index.int()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    tensors = {key: value.contiguous().clone() for key, value in state.items()}
    save_file(tensors, unfinished, metadata={"format": "pt"} | (metadata or {}))
    unfinished.chmod(0o644)  # safetensors writes for the owner alone
    unfinished.replace(path)
    (path.parent / "model_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")


def load_weights(path: Path) -> tuple[CLIP, dict[str, str]]:
    """A model from its compact file, and the file's metadata."""
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 no mapping
        metadata = dict(file.metadata() or {})
    index = state.pop("token_embedding.index").long()
    rows = state.pop("token_embedding.rows")
    table = torch.zeros(START + 2, rows.shape[1])
    state[_TABLE] = table.index_copy(0, index, rows)
    model = build_model()
    model.load_state_dict(state)
    return model, metadata


@torch.no_grad()
def bake_temperature(
    model: CLIP,
    pixels: Float[Tensor, "B 3 H W"],
    *,
    depth: int = 7,
    temperature: float = TEMPERATURE,
) -> list[float]:
    """Scale the last blocks' first layer norm so that the adaptive inverse temperature is this one.

    The method takes the mean norm of the normed tokens, over the root of the head size, as inverse
    temperature. In so narrow a tower that is about 1.7, which leaves self-self attention almost
    uniform. Scaling the layer norm up by c and the projection after it down by c computes the same
    function. A property put into this checkpoint on purpose; it says nothing about CLIP's own.

    Returns the temperatures found before.
    """
    blocks = model.visual.transformer.resblocks[-depth:]
    norms: list[float] = []
    handles = [
        block.ln_1.register_forward_hook(
            lambda _module, _inputs, output: norms.append(output.norm(dim=-1).mean().item())
        )
        for block in blocks
    ]
    model.eval()
    model.encode_image(pixels)
    for handle in handles:
        handle.remove()
    head_dim = CONFIG["vision_cfg"]["head_width"]
    found = [norm / head_dim**0.5 for norm in norms]
    for block, beta in zip(blocks, found, strict=True):
        factor = temperature / beta
        block.ln_1.weight.mul_(factor)
        block.ln_1.bias.mul_(factor)
        block.attn.in_proj_weight.div_(factor)
    return found
