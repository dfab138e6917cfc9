"""Train the demo model from image-caption pairs alone; boxes are never read.

    python -m videogem.datasets.demo_train --stage 1 --out DIR
    python -m videogem.datasets.demo_train --stage 2 --out DIR --start DIR/stage1.safetensors

Stage 1 learns words and things in the first world from short captions; stage 2 goes on in the
second world and ends with the model that ships. The schedule follows the clock, so a run takes the
minutes it was given on any machine; what it reaches depends on the GPU.
"""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from jaxtyping import Bool, Float, Int
from open_clip import CLIP, SimpleTokenizer
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from videogem.datasets.demo_captions import (
    CONTEXT,
    FIRST_STYLE,
    CaptionStyle,
    CaptionWriter,
    matches,
)
from videogem.datasets.demo_check import grounding_check
from videogem.datasets.demo_render import Renderer
from videogem.datasets.demo_scenes import Scenes, free_scenes, quadrant_scenes, unseen_pairs
from videogem.datasets.demo_sprites import load_sprites
from videogem.datasets.demo_towers import (
    encode_images,
    encode_tokens,
    matching_loss,
    own_caption_loss,
    standardise,
)
from videogem.datasets.demo_vocabulary import load_vocabulary
from videogem.datasets.demo_weights import bake_temperature, build_model, load_weights, save_weights

logger = logging.getLogger(__name__)

MAX_LOGIT_SCALE = math.log(100)
WEIGHT_DECAY = 0.1
_LOG_SECONDS, _SAVE_SECONDS = 20.0, 110.0
_REFRESH_STEPS, _REFRESH_COUNT = 10, 64

Loss = Callable[[Float[Tensor, "B C"], Bool[Tensor, "B C"]], Float[Tensor, ""]]


@dataclass(frozen=True)
class Stage:
    """One stage's schedule and data."""

    minutes: float
    batch_size: int
    learning_rate: float
    warmup_steps: int
    quadrant_share: float  # batches from the first world
    style: CaptionStyle
    captions_per_image: int
    loss: Loss


STAGES = {
    1: Stage(6.0, 1536, 1.5e-3, 500, 1.0, FIRST_STYLE, 1, matching_loss),
    2: Stage(6.8, 2048, 1.0e-3, 100, 0.15, CaptionStyle(), 2, own_caption_loss),
}


class DemoData:
    """Endless training batches on one device, all chance from one seed."""

    def __init__(self, stage: Stage, device: torch.device, seed: int) -> None:
        self._stage = stage
        self.generator = torch.Generator(device).manual_seed(seed)
        self._chooser = torch.Generator().manual_seed(seed)
        self._allowed = ~unseen_pairs(load_vocabulary()).to(device)
        on_gpu = device.type == "cuda"
        self.renderer = Renderer(
            load_sprites(), self.generator, num_backgrounds=1024 if on_gpu else 64
        )
        encode = SimpleTokenizer(context_length=CONTEXT).encode
        self._writer = CaptionWriter(load_vocabulary(), encode, self.generator, stage.style)
        # Stage 1 keeps the rows of words it has not met, so that stage 2 starts from them.
        self.used_tokens = CaptionWriter(load_vocabulary(), encode, self.generator).used_tokens
        self._num_batches = 0

    def scenes(self) -> Scenes:
        first_world = torch.rand((), generator=self._chooser) < self._stage.quadrant_share
        make = quadrant_scenes if first_world else free_scenes
        return make(self._stage.batch_size, self._allowed, self.generator)

    @torch.no_grad()
    def next_batch(
        self,
    ) -> tuple[Float[Tensor, "B 3 H W"], Int[Tensor, "C context"], Bool[Tensor, "B C"]]:
        """Images, token ids, and which captions fit which images."""
        if self._num_batches % _REFRESH_STEPS == 0:
            first = self._num_batches // _REFRESH_STEPS * _REFRESH_COUNT
            self.renderer.refresh_backgrounds(first % self.renderer.num_backgrounds, _REFRESH_COUNT)
        self._num_batches += 1
        scenes = self.scenes()
        captions = self._writer.write(scenes, per_image=self._stage.captions_per_image)
        return self.renderer.render(scenes).images, captions.tokens, matches(scenes, captions)


def rendering_speed(data: DemoData, num_batches: int = 10) -> float:
    """Images per second of whole training batches, captions included, after a warm-up."""
    for _ in range(3):
        data.next_batch()
    torch.cuda.synchronize()
    start = time.monotonic()
    num_images = sum(len(data.next_batch()[0]) for _ in range(num_batches))
    torch.cuda.synchronize()
    return num_images / (time.monotonic() - start)


def learning_rate(stage: Stage, step: int, share: float) -> float:
    """Linear warm-up by step times a cosine by the share of the time that has passed."""
    warmup = min(1.0, (step + 1) / stage.warmup_steps)
    return stage.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def batch_loss(
    model: CLIP,
    loss: Loss,
    images: Float[Tensor, "B 3 H W"],
    tokens: Int[Tensor, "C context"],
    fits: Bool[Tensor, "B C"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Loss of one batch, and the share of images whose most similar caption fits."""
    device = images.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        image_features = encode_images(model, images)
        text_features = encode_tokens(model, tokens)
    image_features = F.normalize(image_features.float(), dim=-1)
    text_features = F.normalize(text_features.float(), dim=-1)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        cosines = image_features @ text_features.T
    logits = cosines.float() * model.logit_scale.exp()
    right = fits.gather(1, logits.argmax(dim=1, keepdim=True))
    return loss(logits, fits), right.float().mean()


def make_optimizer(model: CLIP, device: torch.device) -> torch.optim.Optimizer:
    """AdamW that decays matrices and tables, not biases, norms or single vectors."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=0.0, betas=(0.9, 0.98), eps=1e-6, fused=device.type == "cuda"
    )


def fit(
    model: CLIP,
    stage: Stage,
    data: DemoData,
    save: Callable[[int, float], None],
    *,
    passed_minutes: float = 0.0,
    max_steps: int | None = None,
) -> int:
    """Train until the stage's minutes are over or ``max_steps`` are done; returns the steps.

    ``save`` gets the steps and minutes every two minutes, and once more however this ends.
    Compiling does not count as training time.
    """
    device = data.generator.device
    optimizer = make_optimizer(model, device)
    compiled = torch.compile(batch_loss, dynamic=False) if device.type == "cuda" else batch_loss
    model.train()

    def backward() -> tuple[Tensor, Tensor]:
        value, accuracy = compiled(model, stage.loss, *data.next_batch())
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        return value.detach(), accuracy

    if device.type == "cuda":
        compiling = time.monotonic()
        backward()
        torch.cuda.synchronize()
        logger.info("compiled in %.0f s", time.monotonic() - compiling)

    step, start = 0, time.monotonic() - 60 * passed_minutes
    first = logged = saved = time.monotonic()
    minutes = passed_minutes
    with _progress(stage.minutes) as show:
        try:
            while minutes < stage.minutes and (max_steps is None or step < max_steps):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(stage, step, minutes / stage.minutes)
                value, accuracy = backward()
                optimizer.step()
                with torch.no_grad():
                    model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
                step += 1
                now = time.monotonic()
                minutes = (now - start) / 60
                show(minutes)
                if now - logged > _LOG_SECONDS or step == 1:
                    logged = now
                    logger.info(
                        "step %d, %.2f min: loss %.3f, fitting caption first %.1f %%, "
                        "logit scale %.1f, %.0f images/s",
                        step,
                        minutes,
                        value.item(),
                        100 * accuracy.item(),
                        model.logit_scale.exp().item(),
                        step * stage.batch_size / (now - first),
                    )
                if now - saved > _SAVE_SECONDS:
                    saved = now
                    save(step, minutes)
        finally:
            save(step, minutes)
    return step


@contextmanager
def _progress(minutes: float) -> Iterator[Callable[[float], None]]:
    """A bar over the minutes; only a terminal shows it, log lines appear everywhere."""
    columns = (TextColumn("training"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=minutes)
        yield lambda passed: progress.update(task, completed=passed)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def train(
    stage: Annotated[int, typer.Option(min=1, max=2, help="1: first world, 2: second world.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights.")],
    start: Annotated[
        Path | None, typer.Option(help="Weights to start from: stage 1's for stage 2.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Weights of this stage, cut off; goes on at their minute.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop earlier, for a smoke test.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    check_scenes: Annotated[int, typer.Option(help="Scenes of the check at the end.")] = 512,
) -> None:
    """Train one stage of the demo model."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler()])
    signal.signal(signal.SIGTERM, _interrupt)
    if stage == 2 and start is None and resume is None:
        raise typer.BadParameter("stage 2 needs --start with the weights of stage 1")
    name = "cuda" if device == "auto" and torch.cuda.is_available() else device
    target = torch.device("cpu" if name == "auto" else name)
    plan = STAGES[stage]
    plan = replace(plan, minutes=minutes or plan.minutes, batch_size=batch_size or plan.batch_size)

    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    source = resume or start
    model, metadata = load_weights(source) if source else (build_model(), {})
    model = model.to(target)
    data = DemoData(plan, target, seed)
    logger.info("stage %d on %s, %.1f min", stage, target, plan.minutes)
    if target.type == "cuda":
        logger.info("renders %.0f images/s", rendering_speed(data))
    path = out / f"stage{stage}.safetensors"

    def save(steps: int, passed: float) -> None:
        facts = {"stage": str(stage), "steps": str(steps), "minutes": f"{passed:.3f}"}
        save_weights(model, data.used_tokens, path, metadata=facts)
        logger.info("saved %s: %.1f MB, step %d", path, path.stat().st_size / 1e6, steps)

    passed = float(metadata.get("minutes", 0)) if resume else 0.0
    steps = fit(model, plan, data, save, passed_minutes=passed, max_steps=max_steps)
    if stage == 2:
        path = export(model, data, out / "model.safetensors", steps)
    # A check that fails must not look like a training that failed: the weights are saved by now.
    shares = grounding_check(path, num_scenes=check_scenes, batch=min(64, check_scenes))
    logger.info(
        "three actors, unseen pairs, points in the true box: %s",
        ", ".join(f"{prompt} {100 * share:.1f} %" for prompt, share in shares.items()),
    )


def export(model: CLIP, data: DemoData, path: Path, steps: int) -> Path:
    """The model that ships: stage 2's, with the temperature put into its weights."""
    images = data.renderer.render(data.scenes()).images[:64].float()
    found = bake_temperature(model.float(), standardise(images))
    logger.info("inverse temperatures found: %s", ", ".join(f"{beta:.2f}" for beta in found))
    save_weights(model, data.used_tokens, path, metadata={"steps": str(steps)})
    logger.info("exported %s: %.1f MB", path, path.stat().st_size / 1e6)
    return path


if __name__ == "__main__":
    typer.run(train)
