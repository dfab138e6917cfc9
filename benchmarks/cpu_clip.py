"""CPU time and memory of one ViCLIP-B/16 clip with three prompts, against the literal formulation.

    python -m benchmarks.cpu_clip [--repeats 3] [--threads 1]

As in `cpu_frame`: both in turn in one process on the same clip of eight frames, and they must give
the same heatmaps; the prompts are in the cache. Added memory is what the process holds at most
during its first clip, beyond what it held with the weights loaded (Linux tells that).
"""

import gc
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import typer

from benchmarks.cpu_frame import PROMPTS, cpu_seconds
from benchmarks.gpu import write
from benchmarks.literal import clip_heatmaps
from videogem.backbones.viclip import VICLIP_B_16, ViCLIP, ViCLIPBackbone
from videogem.grounding import VideoGEM
from videogem.structures import Clip


def added_mebibytes(run: Callable[[], Any]) -> float:
    """The most memory the process holds while this runs, less what it holds before."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    """A size of this process, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def noise_clip(num_frames: int) -> Clip:
    """A clip of noise, 360p."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (num_frames, 360, 640, 3), dtype=np.uint8)
    return Clip(frames, np.arange(num_frames) / 4, np.arange(num_frames), target=num_frames // 2)


def main(repeats: int = 3, threads: int = 1) -> None:
    """Print median CPU seconds, their ratio, and the added memory of both."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    tokenizer = open_clip.SimpleTokenizer(context_length=VICLIP_B_16.context_length)
    model = ViCLIP(VICLIP_B_16).eval()
    backbone = ViCLIPBackbone(model, tokenizer, name="random")
    grounder = VideoGEM(backbone, cache_megabytes=0)
    clip = noise_clip(backbone.num_frames)
    video, texts = backbone.preprocess([clip]), backbone.encode_texts(PROMPTS)[None]

    @torch.inference_mode()
    def ours() -> np.ndarray:
        tokens = backbone.encode_frames(video, grounder.settings.attention, target=clip.target)
        return grounder.places([clip], tokens, texts).of(0, slice(0, 3)).maps()

    @torch.inference_mode()
    def literal() -> torch.Tensor:
        return clip_heatmaps(model, video, tokenizer(list(PROMPTS)), clip.target)

    memory = added_mebibytes(ours)  # first: what the other one frees would be used again
    literal_memory = added_mebibytes(literal)
    difference = float(np.abs(ours() - literal().numpy()).max())
    seconds: dict[str, list[float]] = {"literal": [], "ours": []}
    for _ in range(repeats):
        seconds["literal"].append(cpu_seconds(literal))
        seconds["ours"].append(cpu_seconds(ours))
    base, own = seconds["literal"], seconds["ours"]
    faster = statistics.median(b / o for b, o in zip(base, own, strict=True))
    write(
        f"ViCLIP-B/16, {backbone.num_frames} frames; largest difference of the heatmaps: "
        f"{difference:.1e}\n"
        f"literal {statistics.median(base):.2f} s CPU, {literal_memory:.0f} MiB added\n"
        f"ours    {statistics.median(own):.2f} s CPU, {memory:.0f} MiB added: {faster:.2f} x faster"
    )


if __name__ == "__main__":
    typer.run(main)
