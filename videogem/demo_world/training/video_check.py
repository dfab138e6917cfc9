"""What a demo video model gains from motion: eight frames against one frame shown eight times."""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from videogem.backbones.zoo import load_backbone
from videogem.demo_world.motions import MOTIONS, NUM_FRAMES
from videogem.demo_world.render import Renderer
from videogem.demo_world.scenes import SIDE, unseen_pairs
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.training.video_model import standardise_videos
from videogem.demo_world.video_render import render_videos
from videogem.demo_world.video_scenes import moving_scenes, unseen_motions
from videogem.demo_world.vocabulary import load_vocabulary
from videogem.method.settings import AttentionSettings

PROMPTS = ("verb", "object", "action")


@torch.inference_mode()
def video_check(
    model: Path, *, num_scenes: int = 256, seed: int = 1, batch: int = 16
) -> dict[str, float]:
    """Share of points in the true box of the target frame, and of motions named right.

    Two actors do different things to the same object, so only motion tells them apart; pairs of
    motion and object are unseen. Keys: video or repeated frame, and the prompt, or ``motion`` for
    the zero-shot choice among all motions in scenes of one actor. A point is the centre of the best
    patch, without layer weights.
    """
    backbone = load_backbone(str(model))
    device = backbone.device
    generator = torch.Generator(device).manual_seed(seed)
    vocabulary = load_vocabulary()
    renderer = Renderer(load_sprites(), generator, num_backgrounds=64)
    verbs = ~unseen_pairs(vocabulary).to(device)
    motions = unseen_motions(vocabulary).to(device)
    names = backbone.encode_texts([f"A photo of a person {m.gerund} something." for m in MOTIONS])

    hits: dict[str, list[Tensor]] = {}
    for number in range(max(2, 2 * num_scenes // batch)):
        num_actors = 1 + number % 2
        scenes = moving_scenes(
            batch, verbs, motions, generator, num_actors=num_actors, twin_share=1.0, camera=False
        )
        rendered = render_videos(renderer, scenes, degradation=False)
        target = NUM_FRAMES // 2
        frame = rendered.videos[:, target : target + 1]
        for name, videos in (
            ("video", rendered.videos),
            ("frame", frame.expand_as(rendered.videos)),
        ):
            tokens = backbone.encode_frames(standardise_videos(videos.float()), AttentionSettings())
            if num_actors == 1:
                whole = F.normalize(backbone.project(tokens.class_path[-1]), dim=-1)
                right = (whole @ names.T).argmax(dim=1) == scenes.motions[:, 0]
                hits.setdefault(f"{name} motion", []).append(right)
                continue
            mixed = tokens.terms.sum(dim=0)
            patches = F.normalize(backbone.project(mixed)[:, 1:], dim=-1)
            patches = patches.unflatten(1, (-1, NUM_FRAMES))[:, :, target]  # B n E
            for actor in range(num_actors):
                words = zip(
                    scenes.motions[:, actor].tolist(),
                    scenes.still.objects[:, actor].tolist(),
                    strict=True,
                )
                texts = backbone.encode_texts(
                    [
                        text
                        for motion, thing in words
                        for text in _prompts(MOTIONS[motion].gerund, vocabulary.objects[thing])
                    ]
                ).view(batch, len(PROMPTS), -1)
                inside = _hits(patches, texts, tokens.grid[1], rendered.boxes[:, target, actor])
                for index, prompt in enumerate(PROMPTS):
                    hits.setdefault(f"{name} {prompt}", []).append(inside[:, index])
    return {name: torch.cat(parts).float().mean().item() for name, parts in sorted(hits.items())}


def _prompts(gerund: str, name: str) -> tuple[str, str, str]:
    return (
        f"A photo of a person {gerund} something.",
        f"A photo of a person using {name}.",
        f"A photo of a person {gerund} {name}.",
    )


def _hits(
    patches: Float[Tensor, "B n E"],
    texts: Float[Tensor, "B P E"],
    columns: int,
    boxes: Float[Tensor, "B 4"],
) -> Bool[Tensor, "B P"]:
    """Whether the best patch of each prompt lies in the box."""
    best = torch.einsum("bne,bpe->bpn", patches, texts).argmax(dim=-1)
    points = torch.stack([best % columns + 0.5, best // columns + 0.5], dim=-1) * SIDE / columns
    return ((points >= boxes[:, None, :2]) & (points <= boxes[:, None, 2:])).all(dim=-1)
