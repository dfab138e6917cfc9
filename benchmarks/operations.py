"""How many operations one frame costs, counted: the same on every machine, unlike seconds."""

from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.literal import heatmaps
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.method.settings import MethodSettings
from videogem.method.similarity import patch_similarities

PROMPTS = 3


class _Shapes(OpenCLIPBackbone):
    """A backbone without numbers, of which none can tell it from others."""

    fingerprint = "shapes"


def count(run: Callable[[], Any]) -> int:
    """Floating-point operations of matrix products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.get_total_flops()


def count_operations() -> tuple[int, int]:
    """Of one frame with three prompts: the literal formulation, and this project's.

    The prompts were seen before; the model is ViT-B/16.
    """
    with torch.device("meta"):  # shapes alone: nothing is computed
        return _count(open_clip.CLIP(**open_clip.get_model_config("ViT-B-16")).eval())


def _count(model: Any) -> tuple[int, int]:
    backbone = _Shapes(model, lambda _: torch.zeros(0), name="random")
    size = backbone.image_size
    pixels = torch.zeros(1, 3, size, size)
    context, width = model.context_length, backbone._visual.proj.shape[1]
    embeddings = torch.ones(1, PROMPTS, width)
    settings = MethodSettings()

    def ours() -> None:
        tokens = backbone.encode_frames(pixels, settings.attention)
        patch_similarities(backbone, tokens, embeddings, settings)

    with torch.inference_mode():
        token_ids = torch.ones(PROMPTS, context, dtype=torch.long)
        return count(lambda: heatmaps(model, pixels, token_ids)), count(ours)
