"""The demo world's art as arrays."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from videogem.datasets.demo_vocabulary import DEMO_DIRECTORY

VISIBLE_OPACITY = 0.3  # a pixel counts as part of the thing from here on


@dataclass(frozen=True, eq=False)
class Sprites:
    """All emoji, and which of them show a verb's person or an object.

    ``bounds`` is the box of the visible pixels as shares of the sprite.
    """

    images: UInt8[np.ndarray, "S side side 4"]
    verb_sprites: tuple[tuple[int, ...], ...]
    object_sprites: tuple[tuple[int, ...], ...]
    bounds: Float[np.ndarray, "S 4"]


@cache
def load_sprites(directory: Path = DEMO_DIRECTORY) -> Sprites:
    """Read sprites.webp and sprites.json."""
    index = json.loads((directory / "sprites.json").read_text())
    side, columns = index["side"], index["columns"]
    with Image.open(directory / "sprites.webp") as sheet:
        pixels = np.asarray(sheet.convert("RGBA"))
    rows = pixels.shape[0] // side
    tiles = pixels.reshape(rows, side, columns, side, 4).swapaxes(1, 2)
    images = np.ascontiguousarray(tiles.reshape(-1, side, side, 4)[: len(index["sprites"])])

    members: dict[str, list[list[int]]] = {
        "verb": [[] for _ in index["verbs"]],
        "object": [[] for _ in index["objects"]],
    }
    for position, (kind, number, _style, _code) in enumerate(index["sprites"]):
        members[kind][number].append(position)
    return Sprites(
        images,
        tuple(map(tuple, members["verb"])),
        tuple(map(tuple, members["object"])),
        visible_bounds(images),
    )


def visible_bounds(images: UInt8[np.ndarray, "S side side 4"]) -> Float[np.ndarray, "S 4"]:
    """Box of the visible pixels of each sprite, xyxy as shares of the sprite."""
    visible = images[..., 3] > VISIBLE_OPACITY * 255
    columns, rows = visible.any(axis=1), visible.any(axis=2)
    side = images.shape[1]
    edges = [
        columns.argmax(axis=1),
        rows.argmax(axis=1),
        side - columns[:, ::-1].argmax(axis=1),
        side - rows[:, ::-1].argmax(axis=1),
    ]
    return np.stack(edges, axis=1) / side
