"""The paper's Figures 3 and 4 on the data at hand: pictures and the numbers in them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from videogem.datasets.base import Dataset, Item
from videogem.evaluation import Skipped, read_clips
from videogem.evaluation.methods import parse_method
from videogem.evaluation.paper import DEPTH, FIGURES, figure_3_methods
from videogem.evaluation.report import line_chart
from videogem.evaluation.run import Advance, RunOptions, run
from videogem.evaluation.tower import words_of
from videogem.method.backbone import Backbone
from videogem.method.settings import AttentionSettings
from videogem.method.similarity import ablated_similarities, frame_similarities
from videogem.structures import PROMPT_NAMES

Values = list[dict[str, Any]]


def figure_3(
    sets: Sequence[Dataset],
    models: Sequence[str],
    options: RunOptions,
    out: Path,
    *,
    advance: Advance | None = None,
) -> tuple[list[Path], Values]:
    """Pointing accuracy of unweighted sums with one term left out, and with the upper ones only.

    Term 0 is the input of the first used block, term l the self-self output of the l-th of them.
    """
    ablations = figure_3_methods()
    specs = [ablation.spec for ablation in ablations]
    values: Values = []
    for dataset in sets:
        for model in models:
            rows = run(dataset.name, dataset.items, [model], specs, options, advance=advance).rows
            for ablation, row in zip(ablations, rows, strict=True):
                values.append(
                    {
                        "dataset": dataset.name,
                        "model": model,
                        "panel": f"{dataset.name}, {model}: {ablation.curve}",
                        "prompt": ablation.prompt,
                        "x": ablation.term,
                        "y": 100 * (row.share.accuracy or 0.0),
                        "low": 100 * row.share.low,
                        "high": 100 * row.share.high,
                        "n": row.share.n,
                    }
                )
    return _write(3, values, out, x="term of the sum", y="pointing accuracy, %")


def figure_4(
    sets: Sequence[Dataset],
    models: Sequence[str],
    options: RunOptions,
    out: Path,
    *,
    advance: Advance | None = None,
) -> tuple[list[Path], Values]:
    """Cosine the class embedding loses when one block's own contribution is taken out (Eq. 8)."""
    from videogem.backbones.zoo import load_backbone

    values: Values = []
    for model in models:
        backbone = load_backbone(
            model, device=options.device, image_size=options.image_size, dtype=options.dtype
        )
        for dataset in sets:
            losses = similarity_losses(dataset.items, backbone, options.batch_size, advance)
            spread = 1.96 * losses.std(axis=0) / np.sqrt(len(losses))
            for prompt, means, spans in zip(PROMPT_NAMES, losses.mean(axis=0), spread, strict=True):
                for block, (mean, span) in enumerate(zip(means, spans, strict=True)):
                    values.append(
                        {
                            "dataset": dataset.name,
                            "model": model,
                            "panel": f"{dataset.name}, {model}",
                            "prompt": prompt,
                            "x": backbone.num_blocks - losses.shape[2] + block + 1,
                            "y": float(mean),
                            "low": float(mean - span),
                            "high": float(mean + span),
                            "n": len(losses),
                        }
                    )
    return _write(4, values, out, x="block", y="cosine lost without the block")


@torch.inference_mode()
def similarity_losses(
    items: Sequence[Item], backbone: Backbone, batch_size: int, advance: Advance | None = None
) -> Float[np.ndarray, "n P K"]:
    """For every item and prompt: cosine with the prompt, less the cosine without each block."""
    depth = min(DEPTH, backbone.num_blocks)
    settings = parse_method("videogem").settings
    skipped: list[Skipped] = []
    losses: list[Float[np.ndarray, "P K"]] = []
    for start in range(0, len(items), batch_size):
        batch = items[start : start + batch_size]
        readable, clips = read_clips(batch, backbone.num_frames, skipped)
        if clips:
            pixels = backbone.preprocess(clips)
            tokens = backbone.encode_frames(pixels, AttentionSettings(depth=depth))
            for index, item in enumerate(readable):
                sample = tokens.sample(index)
                texts = backbone.encode_texts(words_of(item, settings).select().texts)[None]
                whole = frame_similarities(backbone, sample, texts)
                without = ablated_similarities(backbone, sample, texts, depth)
                losses.append((whole[..., None] - without)[0].cpu().numpy())
        if advance is not None:
            advance(len(batch))
    return np.stack(losses) if losses else np.zeros((0, len(PROMPT_NAMES), depth), np.float32)


def _write(number: int, values: Values, out: Path, *, x: str, y: str) -> tuple[list[Path], Values]:
    out.mkdir(parents=True, exist_ok=True)
    numbers, picture = out / f"figure_{number}.json", out / f"figure_{number}.png"
    numbers.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    line_chart(values, picture, title=FIGURES[number], x=x, y=y, facet="panel")
    return [numbers, picture], values
