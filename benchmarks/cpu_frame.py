"""CPU time of one ViT-B/16 frame with three prompts, against the literal formulation.

    python -m benchmarks.cpu_frame [--repeats 8] [--threads 1]

Both run in turn in the same process on the same frame, and must give the same heatmaps. "first"
also encodes the prompts and the neutral ones of the score, as a model's first sentence does (the
service has that done while it loads the model), "new" only the prompts of a sentence never seen;
"warm" finds all in the cache.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import open_clip
import torch
import typer

from benchmarks.literal import heatmaps as literal_heatmaps
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.grounding import VideoGEM
from videogem.method.signals import NEUTRAL_PROMPTS
from videogem.structures import Clip

PROMPTS = (
    "A photo of a person cracking something.",
    "A photo of a person using eggs.",
    "A photo of a person cracking two eggs into the bowl.",
)


def cpu_seconds(run: Callable[[], Any]) -> float:
    """CPU time of all threads of this process."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main(repeats: int = 8, threads: int = 1) -> None:
    """Print median CPU seconds and their ratios."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16", load_weights=False).eval()
    tokenizer = open_clip.get_tokenizer("ViT-B-16")
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    clip = Clip.from_image(frame)
    pixels = OpenCLIPBackbone(model, tokenizer, name="random").preprocess([clip])

    def literal() -> torch.Tensor:
        with torch.inference_mode():
            return literal_heatmaps(model, pixels, tokenizer(list(PROMPTS)))

    def ours(backbone: OpenCLIPBackbone) -> np.ndarray:
        grounder = VideoGEM(backbone, cache_megabytes=0)
        with torch.inference_mode():
            tokens = backbone.encode_frames(pixels, grounder.settings.attention)
            texts = backbone.encode_texts(PROMPTS)[None]
            return grounder.places([clip], tokens, texts).of(0, slice(0, 3)).maps()

    warm = OpenCLIPBackbone(model, tokenizer, name="random")
    difference = float(np.abs(ours(warm) - literal().numpy()).max())
    seconds: dict[str, list[float]] = {"literal": [], "first": [], "new": [], "warm": []}
    for _ in range(repeats):
        seconds["literal"].append(cpu_seconds(literal))
        first = OpenCLIPBackbone(model, tokenizer, name="random")
        seconds["first"].append(cpu_seconds(lambda backbone=first: ours(backbone)))
        new = OpenCLIPBackbone(model, tokenizer, name="random")
        new.encode_texts(NEUTRAL_PROMPTS)
        seconds["new"].append(cpu_seconds(lambda backbone=new: ours(backbone)))
        seconds["warm"].append(cpu_seconds(lambda: ours(warm)))
    base = seconds["literal"]
    sys.stdout.write(f"largest difference of the heatmaps: {difference:.1e}\n")
    for name, values in seconds.items():
        ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
        sys.stdout.write(
            f"{name:8} {statistics.median(values):.3f} s CPU "
            f"(min {min(values):.3f}, max {max(values):.3f}), {ratio:.2f} of literal\n"
        )


if __name__ == "__main__":
    typer.run(main)
