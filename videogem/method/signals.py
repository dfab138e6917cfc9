"""What speaks for or against a grounding, measured for a whole batch from what is there anyway.

The class token says whether the frame shows the action at all, the maps whether they point at one
place. A cosine by itself says little: other frames and other looks have other levels. So each frame
is also compared with the same few sentences about nothing in particular; where these all lie close
together the model makes out little in the frame, and a high similarity is worth less.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.places import NarrationPlaces, Places
from videogem.method.similarity import frame_similarities
from videogem.structures import PROMPT_NAMES, Point, Signals

NEUTRAL_PROMPTS = tuple(
    f"A photo of a person {action}."
    for action in (
        "cook the food", "wash the door", "cut the box", "open the ball", "carry the car",
        "throw the knife", "clean the book", "fix the phone", "pour the plant", "hold the bottle",
        "build the guitar", "paint the dog", "ride the bicycle", "lift the table", "push the shirt",
        "read the camera", "write the bread", "play the hammer", "feed the chair", "climb the cup",
    )
)  # fmt: skip
"""Everyday verbs and things, in no particular pairs; with them the score's fit was made."""

APART = 0.2  # share of the frame's side; nearer than this a second peak is part of the first


def frame_signals(
    backbone: Backbone,
    tokens: ImageTokens,
    embeddings: Float[Tensor, "B P E"],
    neutral: Float[Tensor, "Q E"],
) -> Float[Tensor, "B P 3"]:
    """Similarity of the frame with each prompt; mean and deviation of those with neutral ones."""
    num_prompts = embeddings.shape[1]
    texts = torch.cat([embeddings, neutral.expand(len(embeddings), -1, -1)], dim=1)
    found = frame_similarities(backbone, tokens, texts)
    own, level = found[:, :num_prompts], found[:, num_prompts:]
    ground = torch.stack([level.mean(dim=1), level.std(dim=1, correction=0)], dim=-1)
    return torch.cat([own[..., None], ground[:, None].expand(-1, num_prompts, -1)], dim=-1)


def map_signals(
    patches: Float[np.ndarray, "M P h w"],
    spans: Float[np.ndarray, "M P 2"],
    weights: Sequence[float],
) -> Float[np.ndarray, "M 2"]:
    """Margin and spread of each merged map, see `Signals`; from patches, without upsampling."""
    low = spans[..., :1, None]
    height = spans[..., 1:, None] - low
    maps = (patches - low) / np.where(height > 0, height, 1)
    merged = np.einsum("p,mphw->mhw", np.array(weights) / math.fsum(weights), maps)
    top = merged.max(axis=(1, 2), keepdims=True)
    second = _second_peaks(merged)
    spread = (merged >= 0.5 * top).mean(axis=(1, 2))
    return np.stack([np.clip(top[:, 0, 0] - second, 0, 1), spread], axis=-1)


def _second_peaks(maps: Float[np.ndarray, "M h w"]) -> Float[np.ndarray, " M"]:
    """The highest of the patches that no neighbour exceeds, away from the highest of all."""
    number, rows, columns = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    around = np.max(
        [
            padded[:, down : down + rows, right : right + columns]
            for down in range(3)
            for right in range(3)
        ],
        axis=0,
    )
    first_row, first_column = np.divmod(maps.reshape(number, -1).argmax(axis=1), columns)
    row, column = np.mgrid[:rows, :columns]
    far = np.abs(row - first_row[:, None, None]) >= max(2, round(APART * rows))
    far |= np.abs(column - first_column[:, None, None]) >= max(2, round(APART * columns))
    return np.where((maps >= around) & far, maps, 0).max(axis=(1, 2))


@dataclass(frozen=True, eq=False)
class Measured:
    """What the maps and the frame say of one narration, in the order of its prompts."""

    places: NarrationPlaces
    maps: Float[np.ndarray, " 2"]  # see `map_signals`
    frame: Float[np.ndarray, "3 3"]  # see `frame_signals`
    others: float | None = None  # highest similarity of the clip's other narrations

    @property
    def similarity(self) -> float:
        """Of the action's prompt with the frame."""
        return float(self.frame[-1, 0])

    def signals(
        self, points: Sequence[Point], point: Point, height: float, weights: Sequence[float]
    ) -> Signals:
        """All of it, with how far the peaks lie from the point they were merged to."""
        away = math.fsum(
            weight * math.dist(own, point) for own, weight in zip(points, weights, strict=True)
        )
        margin, spread = self.maps.tolist()
        verb, object_, action = self.frame[:, 0].tolist()
        neutral, neutral_spread = self.frame[0, 1:].tolist()
        return Signals(
            agreement=1 - away / math.fsum(weights),
            height=height,
            margin=margin,
            spread=spread,
            verb=verb,
            object=object_,
            action=action,
            neutral=neutral,
            neutral_spread=neutral_spread,
            others=None if self.others is None else action - self.others,
        )


def measure(places: Places, weights: Sequence[float]) -> list[list[Measured]]:
    """What was found for the narrations of each sample, each of three prompts."""
    size = len(PROMPT_NAMES)
    samples, prompts, *grid = places.patches.shape
    narrations = prompts // size
    maps = map_signals(
        places.patches.reshape(samples * narrations, size, *grid),
        places.spans.reshape(samples * narrations, size, 2),
        weights,
    ).reshape(samples, narrations, 2)
    return [
        [
            Measured(
                places.of(sample, slice(size * index, size * (index + 1))),
                maps[sample, index],
                places.brought[sample, size * index : size * (index + 1)],
            )
            for index in range(narrations)
        ]
        for sample in range(samples)
    ]


def compared(found: Sequence[Measured]) -> list[Measured]:
    """Each of a clip's narrations with the highest similarity among the others."""
    if len(found) < 2:
        return list(found)
    first, second = heapq.nlargest(2, range(len(found)), key=lambda place: found[place].similarity)
    return [
        replace(each, others=found[second if place == first else first].similarity)
        for place, each in enumerate(found)
    ]
