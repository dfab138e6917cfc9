"""A quick look at whether grounding has emerged in a demo model, right after training."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from videogem.backbones.zoo import load_backbone
from videogem.demo_world.render import Renderer
from videogem.demo_world.scenes import SIDE, free_scenes, unseen_pairs
from videogem.demo_world.sprites import load_sprites
from videogem.demo_world.training.towers import standardise
from videogem.demo_world.vocabulary import Vocabulary, load_vocabulary
from videogem.method.settings import AttentionSettings

_MERGE_WEIGHTS = (0.2, 0.2, 0.6)


@torch.inference_mode()
def grounding_check(
    model: Path,
    *,
    num_scenes: int = 512,
    num_actors: int = 3,
    seed: int = 1,
    batch: int = 64,
    inverse_temperature: float | None = None,
) -> dict[str, float]:
    """Share of points in the true box for unseen pairs of the second world, without layer weights.

    Keys are the prompts and ``merged``; a point is the centre of the best patch. Without an
    ``inverse_temperature`` the adaptive one is used.
    """
    backbone = load_backbone(str(model))
    device = backbone.device
    generator = torch.Generator(device).manual_seed(seed)
    vocabulary = load_vocabulary()
    renderer = Renderer(load_sprites(), generator, num_backgrounds=64)
    unseen = unseen_pairs(vocabulary).to(device)
    merge = torch.tensor(_MERGE_WEIGHTS, device=device)

    hits: list[Tensor] = []
    for _ in range(max(1, num_scenes // batch)):
        scenes = free_scenes(batch, unseen, generator, num_actors=num_actors, camera=False)
        rendered = renderer.render(scenes, degradation=False)
        tokens = backbone.encode_frames(
            standardise(rendered.images.float()),
            AttentionSettings(inverse_temperature=inverse_temperature),
        )
        mixed = tokens.terms.sum(dim=0)
        features = F.normalize(backbone.project(mixed)[:, 1:], dim=-1)
        columns = tokens.grid[1]
        for actor in range(num_actors):
            pairs = zip(
                scenes.verbs[:, actor].tolist(), scenes.objects[:, actor].tolist(), strict=True
            )
            prompts = [text for pair in pairs for text in _prompts(vocabulary, *pair)]
            texts = backbone.encode_texts(prompts).view(batch, 3, -1)
            best = torch.einsum("bnd,bpd->bpn", features, texts).argmax(dim=-1)
            points = torch.stack([best % columns + 0.5, best // columns + 0.5], dim=-1)
            points = points * SIDE / columns
            merged = (points * merge[:, None]).sum(dim=1, keepdim=True)
            box = rendered.boxes[:, actor, None]
            hits.append(_inside(torch.cat([points, merged], dim=1), box))
    shares = torch.cat(hits).float().mean(dim=0).tolist()
    return dict(zip(("verb", "object", "action", "merged"), shares, strict=True))


def _prompts(vocabulary: Vocabulary, verb: int, thing: int) -> Iterator[str]:
    gerund, name = vocabulary.verbs[verb].gerund, vocabulary.objects[thing]
    yield f"A photo of a person {gerund} something."
    yield f"A photo of a person using {name}."
    yield f"A photo of a person {gerund} {name}."


def _inside(points: Float[Tensor, "B P 2"], boxes: Float[Tensor, "B 1 4"]) -> Bool[Tensor, "B P"]:
    return ((points >= boxes[..., :2]) & (points <= boxes[..., 2:])).all(dim=-1)
