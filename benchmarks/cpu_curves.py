"""What a frame or a clip costs a CPU by its tokens, its prompts and its length.

    python -m benchmarks.cpu_curves [--repeats 3] [--threads 1]

CPU seconds, the least of a few, with random weights: ViT-B/16 by the input's side and by the number
of prompts (embeddings in the cache; encoding new ones is told apart), ViCLIP-B/16 by its frames.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
import typer

from benchmarks.cpu_clip import noise_clip
from benchmarks.cpu_frame import PROMPTS, cpu_seconds
from benchmarks.gpu import write
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.viclip import VICLIP_B_16, ViCLIP, ViCLIPBackbone
from videogem.grounding import VideoGEM
from videogem.structures import Clip

SIDES = (224, 336, 448)
COUNTS = (1, 4, 16, 64, 256)
LENGTHS = (1, 2, 4, 8, 16)


def least(run: Callable[[], Any], repeats: int) -> float:
    return min(cpu_seconds(run) for _ in range(repeats))


def by_tokens(model: Any, repeats: int) -> None:
    """The tower, by the side of what it looks at."""
    clip = Clip.from_image(np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8))
    for side in SIDES:
        backbone = OpenCLIPBackbone(
            model, open_clip.get_tokenizer("ViT-B-16"), name="random", image_size=side
        )
        attention = VideoGEM(backbone).settings.attention
        pixels = backbone.preprocess([clip])
        patches = (side // backbone.patch_size) ** 2
        seconds = least(lambda b=backbone, p=pixels, a=attention: b.encode_frames(p, a), repeats)
        write(f"{side} pixels, {patches + 1} tokens: {seconds:.3f} s, "
              f"{1e3 * seconds / (patches + 1):.2f} ms a token")  # fmt: skip


@torch.inference_mode()
def by_prompts(model: Any, repeats: int) -> None:
    """What follows the tower (weights, cosines, peaks, boxes, figures of the score)."""
    tokenizer = open_clip.get_tokenizer("ViT-B-16")
    backbone = OpenCLIPBackbone(model, tokenizer, name="random")
    grounder = VideoGEM(backbone, cache_megabytes=0)
    clip = Clip.from_image(np.zeros((720, 1280, 3), np.uint8))
    pixels = torch.randn(1, 3, backbone.image_size, backbone.image_size)
    tokens = backbone.encode_frames(pixels, grounder.settings.attention)
    width = backbone.encode_texts(PROMPTS).shape[1]
    for count in COUNTS:
        texts = F.normalize(torch.randn(1, count, width), dim=-1)
        after = least(lambda t=texts: grounder.places([clip], tokens, t), repeats)
        names = tokenizer([f"A photo of a person cutting thing {place}." for place in range(count)])
        encoded = least(lambda n=names: backbone.encode_tokens(n), 1)
        write(f"{count} prompts: {1e3 * after:.1f} ms, {1e3 * encoded:.0f} ms more where new")


def by_length(repeats: int) -> None:
    """The video tower, by its frames."""
    tokenizer = open_clip.SimpleTokenizer(context_length=VICLIP_B_16.context_length)
    for length in LENGTHS:
        model = ViCLIP(replace(VICLIP_B_16, num_frames=length))
        backbone = ViCLIPBackbone(model, tokenizer, name="random")
        attention = VideoGEM(backbone).settings.attention
        video = backbone.preprocess([noise_clip(length)])
        seconds = least(
            lambda b=backbone, v=video, a=attention, t=length // 2: b.encode_frames(v, a, target=t),
            repeats,
        )
        write(f"{length} frames: {seconds:.2f} s, {seconds / length:.2f} s a frame")


def main(repeats: int = 3, threads: int = 1) -> None:
    """Print the three curves."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16", load_weights=False).eval()
    by_tokens(model, repeats)
    by_prompts(model, repeats)
    by_length(repeats)


if __name__ == "__main__":
    typer.run(main)
