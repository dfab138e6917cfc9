"""The paper's Figures 3 and 4, and one more, on the data at hand: pictures and their numbers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from videogem.datasets.base import Dataset, Item
from videogem.evaluation import Skipped, read_clips
from videogem.evaluation.methods import MethodSpec, parse_method
from videogem.evaluation.paper import DEPTH, FIGURES, figure_3_methods, figure_4_methods
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
    """Pointing accuracy of GEM with one of its summed terms left out.

    x = 1 is GEM's last layer, 8 the input of its first one; ``whole`` is GEM with all of them.
    """
    values = _accuracies(figure_3_methods(), sets, models, options, advance, whole="gem")
    return _write("3", values, out, x="layer left out, from the last", y="pointing accuracy, %")


def figure_4(
    sets: Sequence[Dataset],
    models: Sequence[str],
    options: RunOptions,
    out: Path,
    *,
    advance: Advance | None = None,
) -> tuple[list[Path], Values]:
    """Pointing accuracy of GEM by its number of self-self layers, from the last block on.

    x = 0 is the backbone without GEM.
    """
    values = _accuracies(figure_4_methods(), sets, models, options, advance)
    return _write("4", values, out, x="self-self attention layers", y="pointing accuracy, %")


def _accuracies(
    specs: Mapping[int, MethodSpec],
    sets: Sequence[Dataset],
    models: Sequence[str],
    options: RunOptions,
    advance: Advance | None,
    whole: str | None = None,
) -> Values:
    """A value per dataset, model and x; ``whole`` is the accuracy of the method it names."""
    methods = [*specs.values(), *([] if whole is None else [parse_method(whole)])]
    values: Values = []
    for dataset in sets:
        for model in models:
            rows = run(dataset.name, dataset.items, [model], methods, options, advance=advance).rows
            for x, row in zip(specs, rows, strict=False):
                values.append(
                    {
                        "dataset": dataset.name,
                        "model": model,
                        "panel": f"{dataset.name}, {model}",
                        "prompt": "action",
                        "x": x,
                        "y": 100 * (row.share.accuracy or 0.0),
                        "low": 100 * row.share.low,
                        "high": 100 * row.share.high,
                        "n": row.share.n,
                    }
                )
                if whole is not None:
                    values[-1]["whole"] = 100 * (rows[-1].share.accuracy or 0.0)
    return values


def figure_cosine(
    sets: Sequence[Dataset],
    models: Sequence[str],
    options: RunOptions,
    out: Path,
    *,
    advance: Advance | None = None,
) -> tuple[list[Path], Values]:
    """Cosine the class embedding loses when one block's own contribution is taken out (Eq. 8).

    The intervals are of the mean over items, and over videos, whose frames are alike.
    """
    from videogem.backbones.zoo import load_backbone

    values: Values = []
    for model in models:
        backbone = load_backbone(
            model, device=options.device, image_size=options.image_size, dtype=options.dtype
        )
        for dataset in sets:
            losses, videos = similarity_losses(dataset.items, backbone, options.batch_size, advance)
            spread = 1.96 * _standard_error(losses, videos)
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
    return _write("cosine", values, out, x="block", y="cosine lost without the block")


DRAW = {"3": figure_3, "4": figure_4, "cosine": figure_cosine}


@torch.inference_mode()
def similarity_losses(
    items: Sequence[Item], backbone: Backbone, batch_size: int, advance: Advance | None = None
) -> tuple[Float[np.ndarray, "n P K"], list[str]]:
    """Per item and prompt: cosine with the prompt, less that without each block; the videos."""
    depth = min(DEPTH, backbone.num_blocks)
    settings = parse_method("videogem").settings
    skipped: list[Skipped] = []
    losses: list[Float[np.ndarray, "P K"]] = []
    videos: list[str] = []
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
                videos.append(item.video or item.id)
        if advance is not None:
            advance(len(batch))
    empty = np.zeros((0, len(PROMPT_NAMES), depth), np.float32)
    return (np.stack(losses) if losses else empty), videos


def _standard_error(
    losses: Float[np.ndarray, "n P K"], videos: Sequence[str]
) -> Float[np.ndarray, "P K"]:
    """Of the mean, from the sums of its deviations over each video."""
    _, groups = np.unique(videos, return_inverse=True)
    sums = np.zeros((groups.max(initial=-1) + 1, *losses.shape[1:]))
    np.add.at(sums, groups, losses - losses.mean(axis=0))
    count = len(sums)
    return np.sqrt(count / max(1, count - 1) * np.square(sums).sum(axis=0)) / len(losses)


def _write(name: str, values: Values, out: Path, *, x: str, y: str) -> tuple[list[Path], Values]:
    out.mkdir(parents=True, exist_ok=True)
    numbers, picture = out / f"figure_{name}.json", out / f"figure_{name}.png"
    numbers.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    line_chart(values, picture, title=FIGURES[name], x=x, y=y, facet="panel")
    return [numbers, picture], values
