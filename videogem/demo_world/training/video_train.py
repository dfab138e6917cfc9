"""Train the demo ViCLIP on moving scenes whose motion carries the verb; boxes are never read.

    python -m videogem.demo_world.training.video_train --start IMAGE_MODEL --out DIR

Most of the time only half of the patches (the same in all frames) go through the tower, which
halves the sequence; the last part of the schedule shows them all.
"""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from jaxtyping import Bool, Float, Int
from open_clip import SimpleTokenizer
from torch import Tensor

from videogem.backbones.viclip import ViCLIP
from videogem.demo_world.captions import (
    CONTEXT,
    Captions,
    CaptionStyle,
    CaptionWriter,
    matches,
)
from videogem.demo_world.motions import MOTIONS
from videogem.demo_world.render import Renderer
from videogem.demo_world.scenes import MAX_ACTORS, unseen_pairs
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.training.fit import Schedule, fit, pick_device, start_logging
from videogem.demo_world.training.towers import encode_tokens, own_caption_loss
from videogem.demo_world.training.video_check import video_check
from videogem.demo_world.training.video_model import (
    LOGIT_SCALE,
    encode_videos,
    file_config,
    from_image_model,
    from_video_model,
    standardise_videos,
)
from videogem.demo_world.training.weights import bake_inverse_temperature, save_weights
from videogem.demo_world.video_render import render_videos
from videogem.demo_world.video_scenes import (
    VideoScenes,
    motion_vocabulary,
    moving_scenes,
    unseen_motions,
)
from videogem.demo_world.vocabulary import DEMO_DIRECTORY, load_vocabulary

logger = logging.getLogger(__name__)

SCHEDULE = Schedule(minutes=6.5, batch_size=256, learning_rate=7e-4, warmup_steps=100)

_NUM_PATCHES = 196
_KEPT_PATCHES = 98
_FULL_FROM = 0.78  # share of the time from which on all patches are shown
_MOTION_SHARE = 0.75  # captions that say how things move rather than what the person's emoji shows
_FEW_OBJECTS = 24  # things acted on in a batch: so few that many clips differ by their motion alone
_OWN_CAPTIONS = 2
_STYLE = CaptionStyle(verb_share=0.35, object_share=0.1)
_REFRESH_STEPS, _REFRESH_COUNT = 10, 64


class VideoData:
    """Endless batches of moving scenes on one device, all chance from one seed."""

    def __init__(self, batch_size: int, device: torch.device, seed: int) -> None:
        self._batch_size = batch_size
        self.generator = torch.Generator(device).manual_seed(seed)
        self._chooser = torch.Generator().manual_seed(seed)
        vocabulary = load_vocabulary()
        self._num_verbs, self._num_objects = len(vocabulary.verbs), len(vocabulary.objects)
        self._verbs = ~unseen_pairs(vocabulary).to(device)
        self._motions = ~unseen_motions(vocabulary).to(device)
        on_gpu = device.type == "cuda"
        self.renderer = Renderer(
            load_sprites(), self.generator, num_backgrounds=1024 if on_gpu else 64
        )
        encode = SimpleTokenizer(context_length=CONTEXT).encode
        self._writer = CaptionWriter(motion_vocabulary(vocabulary), encode, self.generator, _STYLE)
        self.used_tokens = self._writer.used_tokens
        self._num_batches = 0

    def scenes(self) -> VideoScenes:
        """Half of the batches are about few objects; most have two actors at most."""
        few, many = torch.rand(2, generator=self._chooser).tolist()
        objects = None
        if few < 0.6:
            order = torch.randperm(self._num_objects, generator=self._chooser)
            objects = order[:_FEW_OBJECTS].to(self.generator.device)
        return moving_scenes(
            self._batch_size,
            self._verbs,
            self._motions,
            self.generator,
            max_actors=MAX_ACTORS if many < 0.25 else 2,
            objects=objects,
        )

    @torch.no_grad()
    def next_batch(
        self,
    ) -> tuple[Float[Tensor, "B T 3 H W"], Int[Tensor, "C context"], Bool[Tensor, "B C"]]:
        """Clips, token ids, and which captions fit which clips."""
        if self._num_batches % _REFRESH_STEPS == 0:
            first = self._num_batches // _REFRESH_STEPS * _REFRESH_COUNT
            self.renderer.refresh_backgrounds(first % self.renderer.num_backgrounds, _REFRESH_COUNT)
        self._num_batches += 1
        scenes = self.scenes()
        captions, fits = self.captions(scenes)
        return render_videos(self.renderer, scenes).videos, captions.tokens, fits

    def captions(self, scenes: VideoScenes) -> tuple[Captions, Bool[Tensor, "B C"]]:
        """Two captions a clip: of the motion, or in some clips of what the emoji shows.

        A third run names motions that no actor of the clip shows, about the same objects: what
        the clip is told from by nothing but how things move.
        """
        by_motion, by_look = scenes.with_motion_verbs(self._num_verbs), scenes.still
        uniform = partial(torch.rand, generator=self.generator, device=self.generator.device)
        says_motion = uniform(len(scenes), 1) < _MOTION_SHARE
        told = replace(by_look, verbs=torch.where(says_motion, by_motion.verbs, by_look.verbs))
        shown = torch.zeros(len(scenes), len(MOTIONS) + 1, device=self.generator.device)
        shown = shown.scatter(1, scenes.motions.where(scenes.motions >= 0, len(MOTIONS)), 1.0)
        other = torch.multinomial(1 - shown[:, :-1], 1, generator=self.generator)
        mistaken = replace(
            by_motion, verbs=(other + self._num_verbs).where(by_motion.verbs >= 0, -1)
        )
        parts = (
            self._writer.write(told, per_image=_OWN_CAPTIONS),
            self._writer.write(mistaken),
        )
        captions = Captions(
            torch.cat([part.tokens for part in parts]),
            torch.cat([part.verbs for part in parts]),
            torch.cat([part.objects for part in parts]),
        )
        return captions, matches(by_motion, captions) | matches(by_look, captions)

    def keep_patches(self) -> Int[Tensor, "B k"]:
        """Half of the patches of each clip, in order."""
        order = torch.rand(
            self._batch_size,
            _NUM_PATCHES,
            generator=self.generator,
            device=self.generator.device,
        )
        return order.topk(_KEPT_PATCHES, dim=1).indices.sort(dim=1).values


def batch_loss(
    model: ViCLIP,
    videos: Float[Tensor, "B T 3 H W"],
    kept: Int[Tensor, "B k"] | None,
    tokens: Int[Tensor, "C context"],
    fits: Bool[Tensor, "B C"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Loss of one batch, and the share of clips whose most similar caption fits."""
    device = videos.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        video_features = encode_videos(model, videos, kept)
        text_features = encode_tokens(model.text_encoder, tokens)
    video_features = F.normalize(video_features.float(), dim=-1)
    text_features = F.normalize(text_features.float(), dim=-1)
    logits = LOGIT_SCALE * video_features @ text_features.T
    right = fits.gather(1, logits.argmax(dim=1, keepdim=True))
    return own_caption_loss(logits, fits, _OWN_CAPTIONS), right.float().mean()


def train(
    out: Annotated[Path, typer.Option(help="Folder for the weights.")],
    start: Annotated[Path, typer.Option(help="Weights of the demo image model.")] = (
        DEMO_DIRECTORY / "model.safetensors"
    ),
    resume: Annotated[
        Path | None, typer.Option(help="Weights of a run cut off; goes on at their minute.")
    ] = None,
    minutes: Annotated[float, typer.Option()] = SCHEDULE.minutes,
    batch_size: Annotated[int, typer.Option()] = SCHEDULE.batch_size,
    max_steps: Annotated[int | None, typer.Option(help="Stop earlier, for a smoke test.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    compile_model: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Off: failed with torch 2.11 on an H100.")
    ] = False,
    check_scenes: Annotated[int, typer.Option(help="Scenes of the check at the end.")] = 256,
) -> None:
    """Train the demo ViCLIP."""
    start_logging()
    target = pick_device(device)
    schedule = replace(SCHEDULE, minutes=minutes, batch_size=batch_size)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    model, metadata = from_video_model(resume) if resume else (from_image_model(start), {})
    model = model.to(target)
    data = VideoData(batch_size, target, seed)
    logger.info("video model on %s, %.1f min", target, minutes)
    path = out / "training.safetensors"

    def save(steps: int, passed: float) -> None:
        facts = {"steps": str(steps), "minutes": f"{passed:.3f}"}
        save_weights(model, data.used_tokens, path, config=file_config(), metadata=facts)
        logger.info("saved %s: %.1f MB, step %d", path, path.stat().st_size / 1e6, steps)

    is_compiled = compile_model and target.type == "cuda"
    compiled = torch.compile(batch_loss, dynamic=False) if is_compiled else batch_loss

    def compute(share: float) -> tuple[Tensor, Tensor]:
        videos, tokens, fits = data.next_batch()
        kept = data.keep_patches() if share < _FULL_FROM else None
        return compiled(model, videos, kept, tokens, fits)

    steps = fit(
        model,
        schedule,
        compute,
        save,
        target,
        warm_up=(0.0, 1.0),
        passed_minutes=float(metadata.get("minutes", 0)) if resume else 0.0,
        max_steps=max_steps,
    )
    final = export(model, data, out / "model.safetensors", steps)
    for name, value in video_check(
        final, num_scenes=check_scenes, batch=min(16, check_scenes)
    ).items():
        logger.info("%s: %.1f %%", name, 100 * value)


@torch.no_grad()
def export(model: ViCLIP, data: VideoData, path: Path, steps: int) -> Path:
    """The model that ships, with the inverse temperature put into its weights."""
    videos = render_videos(data.renderer, data.scenes()).videos[:32].float()
    model.eval()
    found = bake_inverse_temperature(
        lambda: model.encode_video(standardise_videos(videos)),
        model.vision_encoder.transformer.resblocks,
    )
    logger.info("inverse temperatures found: %s", ", ".join(f"{beta:.2f}" for beta in found))
    save_weights(
        model, data.used_tokens, path, config=file_config(), metadata={"steps": str(steps)}
    )
    logger.info("exported %s: %.1f MB", path, path.stat().st_size / 1e6)
    return path


if __name__ == "__main__":
    typer.run(train)
