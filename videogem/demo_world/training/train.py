"""Train the demo model from image-caption pairs alone; boxes are never read.

    python -m videogem.demo_world.training.train --stage 1 --out DIR
    python -m videogem.demo_world.training.train --stage 2 --out DIR --start DIR/stage1.safetensors

Stage 1 learns words and things in the first world from short captions; stage 2 goes on in the
second world and ends with the model that ships. The schedule follows the clock, so a run takes the
minutes it was given on any machine; what it reaches depends on the GPU.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from jaxtyping import Bool, Float, Int
from open_clip import CLIP, SimpleTokenizer
from torch import Tensor

from videogem.demo_world.captions import (
    CONTEXT,
    FIRST_STYLE,
    CaptionStyle,
    CaptionWriter,
    matches,
)
from videogem.demo_world.render import Renderer
from videogem.demo_world.scenes import Scenes, free_scenes, quadrant_scenes, unseen_pairs
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.training.check import grounding_check
from videogem.demo_world.training.fit import Schedule, fit, pick_device, start_logging
from videogem.demo_world.training.towers import (
    encode_images,
    encode_tokens,
    matching_loss,
    own_caption_loss,
    standardise,
)
from videogem.demo_world.training.weights import (
    INVERSE_TEMPERATURE,
    bake_inverse_temperature,
    build_model,
    load_weights,
    save_weights,
)
from videogem.demo_world.vocabulary import load_vocabulary

logger = logging.getLogger(__name__)

MAX_LOGIT_SCALE = math.log(100)
_REFRESH_STEPS, _REFRESH_COUNT = 10, 64

Loss = Callable[[Float[Tensor, "B C"], Bool[Tensor, "B C"]], Float[Tensor, ""]]


@dataclass(frozen=True)
class Stage:
    """One stage's schedule and data."""

    schedule: Schedule
    quadrant_share: float  # batches from the first world
    style: CaptionStyle
    captions_per_image: int
    loss: Loss


STAGES = {
    1: Stage(Schedule(6.0, 1536, 1.5e-3, 500), 1.0, FIRST_STYLE, 1, matching_loss),
    2: Stage(Schedule(6.8, 2048, 1.0e-3, 100), 0.15, CaptionStyle(), 2, own_caption_loss),
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
        return make(self._stage.schedule.batch_size, self._allowed, self.generator)

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
    start_logging()
    if stage == 2 and start is None and resume is None:
        raise typer.BadParameter("stage 2 needs --start with the weights of stage 1")
    target = pick_device(device)
    plan = STAGES[stage]
    schedule = replace(
        plan.schedule,
        minutes=minutes or plan.schedule.minutes,
        batch_size=batch_size or plan.schedule.batch_size,
    )
    plan = replace(plan, schedule=schedule)

    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    source = resume or start
    model, metadata = load_weights(source) if source else (build_model(), {})
    model = model.to(target)
    data = DemoData(plan, target, seed)
    logger.info("stage %d on %s, %.1f min", stage, target, schedule.minutes)
    if target.type == "cuda":
        logger.info("renders %.0f images/s", rendering_speed(data))
    path = out / f"stage{stage}.safetensors"

    def save(steps: int, passed: float) -> None:
        facts = {"stage": str(stage), "steps": str(steps), "minutes": f"{passed:.3f}"}
        save_weights(model, data.used_tokens, path, metadata=facts)
        logger.info("saved %s: %.1f MB, step %d", path, path.stat().st_size / 1e6, steps)

    compiled = torch.compile(batch_loss, dynamic=False) if target.type == "cuda" else batch_loss

    @torch.no_grad()
    def limit_scale() -> None:
        model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)

    steps = fit(
        model,
        schedule,
        lambda _share: compiled(model, plan.loss, *data.next_batch()),
        save,
        target,
        after_step=limit_scale,
        passed_minutes=float(metadata.get("minutes", 0)) if resume else 0.0,
        max_steps=max_steps,
    )
    if stage == 2:
        path = export(model, data, out / "model.safetensors", steps)
    # Last, as the weights are safe by now. Stage 1's do not hold the inverse temperature yet.
    shares = grounding_check(
        path,
        num_scenes=check_scenes,
        batch=min(64, check_scenes),
        inverse_temperature=INVERSE_TEMPERATURE if stage == 1 else None,
    )
    logger.info(
        "three actors, unseen pairs, points in the true box: %s",
        ", ".join(f"{prompt} {100 * share:.1f} %" for prompt, share in shares.items()),
    )


def export(model: CLIP, data: DemoData, path: Path, steps: int) -> Path:
    """The model that ships: stage 2's, with the inverse temperature put into its weights."""
    images = data.renderer.render(data.scenes()).images[:64].float()
    found = bake_inverse_temperature(
        lambda: model.float().eval().encode_image(standardise(images)),
        model.visual.transformer.resblocks,
    )
    logger.info("inverse temperatures found: %s", ", ".join(f"{beta:.2f}" for beta in found))
    save_weights(model, data.used_tokens, path, metadata={"steps": str(steps)})
    logger.info("exported %s: %.1f MB", path, path.stat().st_size / 1e6)
    return path


if __name__ == "__main__":
    typer.run(train)
