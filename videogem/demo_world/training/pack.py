"""Pack the emoji art of the demo world into one small file.

    python -m videogem.demo_world.training.pack FOLDER

FOLDER holds the unpacked npm packages ``emoji-datasource-google`` and ``emoji-datasource-twitter``
16.0.0. Colours are rounded to multiples of four and opacity to 64 steps, which moves no channel by
more than 2 of 255 and makes the file a third smaller.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import UInt8
from PIL import Image

from videogem.demo_world.vocabulary import DEMO_DIRECTORY

SIDE = 64
COLUMNS = 51
STYLES = ("google", "twitter")
COLOUR_STEP = 4

_PEOPLE = ("1F9D1", "1F468", "1F469")  # person, man, woman


def _role(tool: str) -> list[str]:
    """A person, a man and a woman joined with the tool of a profession."""
    return [f"{person}-200D-{tool}" for person in _PEOPLE]


def _gendered(code: str) -> list[str]:
    """An activity as drawn for a person, a woman and a man."""
    return [code, f"{code}-200D-2640-FE0F", f"{code}-200D-2642-FE0F"]


# Gerund, base form and code points of the people who stand for the verb. The order is part of the
# vocabulary: it decides which pairs are unseen.
VERBS: tuple[tuple[str, str, list[str]], ...] = (
    ("cooking", "cook", _role("1F373")),
    ("painting", "paint", _role("1F3A8")),
    ("repairing", "repair", _role("1F527")),
    ("harvesting", "harvest", _role("1F33E")),
    ("examining", "examine", _role("1F52C")),
    ("judging", "judge", _role("2696-FE0F")),
    ("welding", "weld", _role("1F3ED")),
    ("singing to", "sing to", _role("1F3A4")),
    ("feeding", "feed", _role("1F37C")),
    ("juggling", "juggle", _gendered("1F939")),
    ("lifting", "lift", _gendered("1F3CB-FE0F")),
    ("throwing", "throw", _gendered("1F93E")),
    ("bouncing", "bounce", _gendered("26F9-FE0F")),
    ("washing", "wash", ["1F6C0"]),
    ("climbing", "climb", _gendered("1F9D7")),
    ("chasing", "chase", _gendered("1F3C3")),
    ("riding", "ride", _gendered("1F6B4")),
    ("rowing", "row", _gendered("1F6A3")),
    ("hitting", "hit", _gendered("1F3CC-FE0F")),
    ("presenting", "present", _gendered("1F481")),
    ("refusing", "refuse", _gendered("1F645")),
    ("approving", "approve", _gendered("1F646")),
    ("worshipping", "worship", _gendered("1F647")),
    ("stealing", "steal", ["1F977"]),
    ("inspecting", "inspect", _gendered("1F575-FE0F")),
    ("guarding", "guard", _gendered("1F482")),
    ("catching", "catch", _gendered("1F46E")),
    ("building", "build", _gendered("1F477")),
    ("extinguishing", "extinguish", _role("1F692")),
    ("launching", "launch", _role("1F680")),
    ("explaining", "explain", _role("1F3EB")),
    ("programming", "program", _role("1F4BB")),
    ("healing", "heal", _role("2695-FE0F")),
    ("dancing with", "dance with", ["1F483", "1F57A"]),
    ("enchanting", "enchant", _gendered("1F9D9")),
    ("contemplating", "contemplate", _gendered("1F9D8")),
    ("cutting", "cut", _gendered("1F487")),
    ("greeting", "greet", _gendered("1F64B")),
    ("flying", "fly", _role("2708-FE0F")),
    ("studying", "study", _role("1F393")),
)

_OBJECT_GROUPS = frozenset(
    (
        "food-prepared",
        "food-vegetable",
        "food-fruit",
        "food-asian",
        "food-sweet",
        "dishware",
        "drink",
        "sport",
        "musical-instrument",
        "tool",
        "science",
        "computer",
        "household",
        "clothing",
        "book-paper",
        "animal-mammal",
        "animal-bird",
        "animal-marine",
        "animal-bug",
        "animal-reptile",
        "plant-flower",
        "transport-ground",
        "transport-air",
        "transport-water",
        "phone",
        "medical",
        "writing",
        "game",
        "other-object",
        "music",
        "light & video",
        "arts & crafts",
    )
)

# Names that are no things a person acts on, or that look like nothing in particular.
_NOT_AN_OBJECT = re.compile(
    "face|no_|flag|symbol|card|club|spade|heart|diamond|notes|busstop|light|sign|barrier|man|woman|"
    "person|racing_car$|^ski$|monkey|construction|slot|mahjong|stop|anchor|low_|high_|shuffle|"
    "_tree|fuel|wheel$"
)

# Emoji names as people would say them; names that become equal are one object.
_TIDY_NAMES = {
    "8ball": "8 ball",
    "art": "paint palette",
    "baby chick": "chick",
    "beers": "beer mugs",
    "beverage box": "juice box",
    "bike": "bicycle",
    "birthday": "birthday cake",
    "black nib": "pen nib",
    "blue car": "car",
    "boat": "sailboat",
    "brown mushroom": "mushroom",
    "bulb": "light bulb",
    "camera with flash": "camera",
    "computer": "laptop",
    "dark sunglasses": "sunglasses",
    "dove of peace": "dove",
    "dromedary camel": "camel",
    "eyeglasses": "glasses",
    "feet": "paw print",
    "guide dog": "dog",
    "hatched chick": "chick",
    "hocho": "kitchen knife",
    "hotdog": "hot dog",
    "icecream": "ice cream",
    "iphone": "mobile phone",
    "lacrosse": "lacrosse stick",
    "lower left ballpoint pen": "ballpoint pen",
    "lower left crayon": "crayon",
    "lower left fountain pen": "fountain pen",
    "lower left paintbrush": "paintbrush",
    "mag": "magnifying glass",
    "mag right": "magnifying glass",
    "mate drink": "mate",
    "oncoming automobile": "car",
    "oncoming bus": "bus",
    "oncoming police car": "police car",
    "oncoming taxi": "taxi",
    "page facing up": "page",
    "page with curl": "page",
    "phone": "telephone",
    "pick": "pickaxe",
    "racehorse": "horse",
    "ring buoy": "life buoy",
    "service dog": "dog",
    "tea": "tea cup",
    "tophat": "top hat",
    "tv": "television",
    "x ray": "x-ray",
}


def tidy_name(raw_name: str) -> str:
    """An emoji's short name as a person would say it.

    >>> tidy_name("tophat"), tidy_name("mouse2"), tidy_name("carrot")
    ('top hat', 'mouse', 'carrot')
    """
    return _TIDY_NAMES.get(raw_name, raw_name.removesuffix("2"))


def emoji_codes(emoji: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Code point and raw name of every object, in the package's order."""
    for entry in emoji:
        if (
            entry["subcategory"] in _OBJECT_GROUPS
            and entry["category"] != "People & Body"
            and entry["has_img_google"]
            and entry["has_img_twitter"]
            and not _NOT_AN_OBJECT.search(entry["short_name"])
        ):
            yield entry["unified"], entry["short_name"].replace("_", " ").replace("-", " ")


def person_codes(emoji: list[dict[str, Any]], codes: list[str]) -> list[str]:
    """A verb's people in every skin tone the package has."""
    by_code = {entry["unified"]: entry for entry in emoji}
    return [
        variant
        for code in codes
        for variant in (
            code,
            *(tone["unified"] for tone in by_code[code].get("skin_variations", {}).values()),
        )
    ]


def read_sprite(path: Path) -> UInt8[np.ndarray, "64 64 4"]:
    """One emoji from its file."""
    with Image.open(path) as image:
        return round_colours(np.asarray(image.convert("RGBA").resize((SIDE, SIDE))))


def round_colours(pixels: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 4"]:
    """Channels rounded to multiples of four (255 stays), fully transparent pixels black."""
    rounded = (pixels.astype(np.int64) + COLOUR_STEP // 2) // COLOUR_STEP * COLOUR_STEP
    rounded = np.minimum(rounded, 255)
    rounded[pixels == 255] = 255
    rounded[rounded[..., 3] == 0] = 0
    return rounded.astype(np.uint8)


def pack(
    folder: Annotated[Path, typer.Argument(help="Folder with the two unpacked npm packages.")],
    out: Annotated[Path, typer.Option(help="Where sprites.webp and sprites.json go.")] = (
        DEMO_DIRECTORY
    ),
) -> None:
    """Write sprites.webp (one sheet) and sprites.json (vocabulary and what each sprite shows)."""
    emoji = json.loads((folder / "emoji-datasource-google" / "emoji.json").read_text())
    objects = list(emoji_codes(emoji))
    raw_names = [name for _, name in objects]
    names = list(dict.fromkeys(map(tidy_name, raw_names)))
    wanted = [
        ("verb", number, code)
        for number, (_, _, codes) in enumerate(VERBS)
        for code in person_codes(emoji, codes)
    ] + [("object", names.index(tidy_name(name)), code) for code, name in objects]

    sprites, entries = [], []
    for kind, number, code in wanted:
        for style in STYLES:
            package = folder / f"emoji-datasource-{style}"
            path = package / "img" / style / str(SIDE) / f"{code.lower()}.png"
            if path.exists():
                sprites.append(read_sprite(path))
                entries.append([kind, number, style, code])

    out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tile(sprites)).save(out / "sprites.webp", lossless=True, quality=100, method=6)
    index = {
        "side": SIDE,
        "columns": COLUMNS,
        "verbs": [[gerund, base] for gerund, base, _ in VERBS],
        "objects": names,
        "raw_names": [[name, names.index(tidy_name(name))] for name in raw_names],
        "sprites": entries,
    }
    (out / "sprites.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")
    typer.echo(f"{len(VERBS)} verbs, {len(names)} objects, {len(sprites)} sprites in {out}")


def tile(sprites: list[UInt8[np.ndarray, "64 64 4"]]) -> UInt8[np.ndarray, "H W 4"]:
    """Sprites row by row on one sheet."""
    rows = -(-len(sprites) // COLUMNS)
    grid = np.zeros((rows * COLUMNS, SIDE, SIDE, 4), np.uint8)
    grid[: len(sprites)] = sprites
    return grid.reshape(rows, COLUMNS, SIDE, SIDE, 4).swapaxes(1, 2).reshape(rows * SIDE, -1, 4)


if __name__ == "__main__":
    typer.run(pack)
