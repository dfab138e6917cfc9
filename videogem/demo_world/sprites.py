"""The demo world's art as arrays."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from videogem.demo_world.vocabulary import DEMO_DIRECTORY, load_vocabulary

SheetName = Literal["sprites", "fluent"]

VISIBLE_OPACITY = 0.3  # a pixel counts as part of the thing from here on


@dataclass(frozen=True, eq=False)
class Sprites:
    """Emoji, and which of them show a verb's person or an object: none, where a style lacks it.

    ``bounds`` is the box of the visible pixels as shares of the sprite, ``genders`` what its code
    points say: woman, man or neither ("any").
    """

    images: UInt8[np.ndarray, "S side side 4"]
    verb_sprites: tuple[tuple[int, ...], ...]
    object_sprites: tuple[tuple[int, ...], ...]
    bounds: Float[np.ndarray, "S 4"]
    genders: tuple[str, ...]


@cache
def load_sprites(name: SheetName = "sprites", directory: Path = DEMO_DIRECTORY) -> Sprites:
    """Read one sheet of art and what it shows.

    ``sprites`` is what the model was trained on, ``fluent`` a style it has never seen, which lacks
    some of the words.
    """
    index = json.loads((directory / f"{name}.json").read_text())
    side, columns = index["side"], index["columns"]
    with Image.open(directory / f"{name}.webp") as sheet:
        pixels = np.asarray(sheet.convert("RGBA"))
    rows = pixels.shape[0] // side
    tiles = pixels.reshape(rows, side, columns, side, 4).swapaxes(1, 2)
    images = np.ascontiguousarray(tiles.reshape(-1, side, side, 4)[: len(index["sprites"])])

    vocabulary = load_vocabulary()
    members: dict[str, list[list[int]]] = {
        "verb": [[] for _ in vocabulary.verbs],
        "object": [[] for _ in vocabulary.objects],
    }
    for position, (kind, number, _style, _code) in enumerate(index["sprites"]):
        members[kind][number].append(position)
    return Sprites(
        images,
        tuple(map(tuple, members["verb"])),
        tuple(map(tuple, members["object"])),
        visible_bounds(images),
        tuple(_gender(code) for _kind, _number, _style, code in index["sprites"]),
    )


def visible_bounds(images: UInt8[np.ndarray, "S side side 4"]) -> Float[np.ndarray, "S 4"]:
    """Box of the visible pixels of each sprite, xyxy as shares of the sprite."""
    visible = images[..., 3] > VISIBLE_OPACITY * 255
    columns, rows = np.any(visible, axis=1), np.any(visible, axis=2)
    side = images.shape[1]
    edges = [
        columns.argmax(axis=1),
        rows.argmax(axis=1),
        side - columns[:, ::-1].argmax(axis=1),
        side - rows[:, ::-1].argmax(axis=1),
    ]
    return np.stack(edges, axis=1) / side


def _gender(code: str) -> str:
    """What the code points of a person say.

    >>> _gender("1F469-1F3FB-200D-1F373"), _gender("1F939-200D-2642-FE0F"), _gender("1F955")
    ('woman', 'man', 'any')
    """
    points = code.split("-")
    if points[0] == "1F469" or "2640" in points:
        return "woman"
    return "man" if points[0] == "1F468" or "2642" in points else "any"
