"""Frames (or clips) a second on a GPU, stage by stage, against the literal formulation.

    python -m benchmarks.gpu [--models B,Q,L,V]

Random weights, three prompts a frame. "tower" is the image tower with the self-self branch, "all"
adds layer weights, heatmaps, their peaks and the regions round them, in batches on the device;
"compiled" is what `VIDEOGEM_COMPILE` does. "ground" is the service's own call on 720p frames in
memory: resizing, all of the above, and the groundings as Python objects.
"""

import platform
import statistics
import sys
from collections.abc import Callable
from datetime import date
from functools import cache, partial
from time import perf_counter
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
import typer

from benchmarks.literal import heatmaps as literal_heatmaps
from benchmarks.operations import count as count_floats
from videogem.backbones.family import set_precision
from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.viclip import VICLIP_B_16, ViCLIP, ViCLIPBackbone
from videogem.grounding import VideoGEM
from videogem.method.attention import self_self_attention, split_heads
from videogem.method.places import find_packed
from videogem.method.settings import MethodSettings
from videogem.method.similarity import patch_similarities, upsample
from videogem.structures import Clip

MODELS = {
    "B": ("ViT-B-16", 256),
    "Q": ("ViT-B-16-quickgelu", 256),
    "L": ("ViT-L-14", 128),
    "V": ("ViCLIP-B-16", 32),
}
PROMPTS = 3


def write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def milliseconds(run: Callable[[], Any], repeats: int = 9, warm: int = 3) -> float:
    """Median time on the device."""
    for _ in range(warm):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def peak_tflops() -> float:
    """What a large bf16 matrix product reaches on this card."""
    matrix = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return 2 * 8192**3 / milliseconds(lambda: matrix @ matrix) / 1e9


def kernel_error() -> float:
    """Relative error of the kernel in bf16 against the plain formulation in fp64."""
    torch.manual_seed(1)
    qkv = torch.randn(3, 197, 3 * 256, device="cuda").bfloat16()
    heads = split_heads(qkv, 4)
    beta = torch.tensor([2.0, 8.0, 14.0], device="cuda")
    expected = self_self_attention(heads.double(), beta.double())
    found = self_self_attention(heads, beta).double()
    return float((found - expected).norm() / expected.norm())


def build(model: str) -> tuple[Any, Any, tuple[int, ...]]:
    """The module, a function that makes its backbone, and the shape of one input."""
    torch.manual_seed(0)
    if model == "V":
        video = ViCLIP(VICLIP_B_16).eval().cuda()
        return video, lambda m: ViCLIPBackbone(m, tokens_of(32), name="random"), (8, 3, 224, 224)
    name = MODELS[model][0]
    image = open_clip.create_model(name, load_weights=False).eval().cuda()
    size = image.visual.image_size[0]
    return image, lambda m: OpenCLIPBackbone(m, tokens_of(77), name="random"), (3, size, size)


def tokens_of(context_length: int) -> Callable[[list[str]], torch.Tensor]:
    return open_clip.SimpleTokenizer(context_length=context_length)


def measure(model: str, peak: float) -> None:
    """All figures of a model; ``peak`` is the card's own matrix product, in TFLOP/s."""
    name, batch = MODELS[model]
    module, make, shape = build(model)
    settings = MethodSettings()
    target = 4 if model == "V" else None
    width = module.vision_encoder.proj.shape[1] if model == "V" else module.visual.proj.shape[1]

    def sample(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = torch.randn(count, *shape, device="cuda")
        return pixels, F.normalize(torch.randn(count, PROMPTS, width, device="cuda"), dim=-1)

    def stages(backbone: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
        @torch.inference_mode()
        def tower(pixels: torch.Tensor) -> Any:
            tokens = backbone.encode_frames(pixels, settings.attention, target=target)
            return tokens.terms, tokens.class_path

        @torch.inference_mode()
        def places(pixels: torch.Tensor, texts: torch.Tensor) -> Any:
            tokens = backbone.encode_frames(pixels, settings.attention, target=target)
            similarities = patch_similarities(backbone, tokens, texts, settings)[..., 0]
            return find_packed(similarities.float(), (shape[-2], shape[-1]), 0.5)

        return tower, places

    def heatmaps(backbone: Any, pixels: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            tokens = backbone.encode_frames(pixels, settings.attention, target=target)
            similarities = patch_similarities(backbone, tokens, texts, settings)[..., 0]
            heat = upsample(similarities, (shape[-2], shape[-1])).flatten(2)
            low, high = heat.amin(-1, keepdim=True), heat.amax(-1, keepdim=True)
            return (heat - low) / (high - low)

    @torch.inference_mode()
    def counted() -> None:
        # Plainly and in fp32, where every product is one that torch counts.
        pixels, texts = sample(1)
        tokens = make(module).encode_frames(pixels, settings.attention, target=target)
        patch_similarities(make(module), tokens, texts, settings)

    each = count_floats(counted)
    few = sample(8)
    exact = heatmaps(make(module), *few)
    if model == "B":
        one, _ = sample(1)
        tokens = torch.randint(1, 49000, (PROMPTS, 77), device="cuda")
        with torch.inference_mode():
            time = milliseconds(lambda: literal_on_device(module, one, tokens))
        write(f"{name} literal fp32, one by one: {1e3 / time:.0f}/s")
    tower32, all32 = stages(make(module))
    pixels, texts = sample(min(batch, 32))
    time, both = milliseconds(lambda: tower32(pixels)), milliseconds(lambda: all32(pixels, texts))
    write(
        f"{name} fp32 b={len(pixels)}: tower {len(pixels) / time * 1e3:.0f}/s, "
        f"all {len(pixels) / both * 1e3:.0f}/s"
    )
    set_precision(getattr(module, "vision_encoder", None) or module.visual, "bf16")
    backbone = make(module)
    tower, everything = stages(backbone)
    off = (heatmaps(backbone, *few) - exact).abs()
    write(f"{name} bf16: heatmaps off by at most {off.max():.4f}, mean {off.mean():.5f}")
    curve = [count for count in (1, 8, 64, batch) if count <= batch]
    grounders = {count: VideoGEM(backbone, label_settings(), batch_size=count) for count in curve}
    for label in ("eager", "compiled"):
        if label == "compiled":
            for grounder in grounders.values():
                compiling = grounder.compile_soon()
                if compiling is not None:
                    compiling.join()
        for count in curve:
            pixels, texts = sample(count)
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            time = milliseconds(partial(tower, pixels))
            both = milliseconds(partial(everything, pixels, texts))
            memory = (torch.cuda.max_memory_allocated() - before) / count / 2**20
            clips = noise_clips(grounders[count], count)
            call = partial(grounders[count].ground_batch, clips, [["crack eggs"]] * count)
            called = wall_milliseconds(call)
            write(
                f"{name} bf16 {label} b={count}: tower {count / time * 1e3:.0f}/s, all "
                f"{count / both * 1e3:.0f}/s, {both:.2f} ms, {memory:.1f} MiB a sample, "
                f"{count * each / both / 1e9:.0f} TFLOP/s, {count * each / both / 1e9 / peak:.0%} "
                f"of the matrix product; "
                f"ground {count / called * 1e3:.0f}/s, {called:.2f} ms"
            )
    write(profile(lambda: everything(pixels, texts)))


def label_settings() -> MethodSettings:
    """Settings under which a text needs no tagger."""
    return MethodSettings(label_style="label")


def noise_clips(grounder: VideoGEM, count: int) -> list[Clip]:
    """Clips of noise, 720p, as a reader would hand them over."""
    frames = grounder.num_frames
    noise = noise_frames()
    return [
        Clip(np.stack([noise[(i + k) % len(noise)] for k in range(frames)]) if frames > 1
             else noise[i % len(noise)][None],
             np.zeros(frames), np.arange(frames), target=frames // 2)
        for i in range(count)
    ]  # fmt: skip


@cache
def noise_frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (720, 1280, 3), dtype=np.uint8) for _ in range(16)]


def wall_milliseconds(run: Callable[[], Any], repeats: int = 7, warm: int = 2) -> float:
    """Median time until a call returns, which waits for the device itself."""
    for _ in range(warm):
        run()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        run()
        times.append(1e3 * (perf_counter() - start))
    return statistics.median(times)


def profile(run: Callable[[], Any]) -> str:
    """Share of device time by kernel."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        run()
        torch.cuda.synchronize()
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_device_time_total)
    total = sum(row.self_device_time_total for row in rows)
    return "\n".join(
        f"    {row.self_device_time_total / total:5.1%} {row.count:4d} x {row.key[:70]}"
        for row in rows[:16]
    )


def literal_on_device(module: Any, pixels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    with torch.device("cuda"):
        return literal_heatmaps(module, pixels, tokens)


def main(models: str = "B,Q,L,V") -> None:
    """Print the figures of each model."""
    write(
        f"{date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )
    peak = peak_tflops()
    write(f"bf16 matrix product: {peak:.0f} TFLOP/s; kernel off by {kernel_error():.1e} (relative)")
    for model in models.split(","):
        measure(model, peak)


if __name__ == "__main__":
    typer.run(main)
