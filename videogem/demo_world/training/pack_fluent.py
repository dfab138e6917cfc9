"""Pack a third style of emoji, never trained on: Microsoft's Fluent UI emoji, flat.

    python -m videogem.demo_world.training.pack_fluent FLUENT_FOLDER EMOJI_FOLDER

FLUENT_FOLDER is the unpacked npm package ``@iconify-json/fluent-emoji-flat`` (drawings as SVG),
EMOJI_FOLDER the one `demo_pack` reads. Needs ``resvg-py`` to draw them, which nothing else in this
project needs and no requirements file lists.
"""

import io
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import UInt8
from PIL import Image

from videogem.demo_world.training.pack import (
    COLUMNS,
    SIDE,
    VERBS,
    emoji_codes,
    round_colours,
    tidy_name,
    tile,
)
from videogem.demo_world.vocabulary import DEMO_DIRECTORY, load_vocabulary

_TONES = ("", "-1F3FB", "-1F3FD", "-1F3FF")  # none, light, medium, dark


def pack(
    fluent: Annotated[Path, typer.Argument(help="The unpacked package of drawings.")],
    emoji: Annotated[Path, typer.Argument(help="Folder with the emoji-datasource packages.")],
    out: Annotated[Path, typer.Option(help="Where the two files go.")] = DEMO_DIRECTORY,
) -> None:
    """Write fluent.webp and fluent.json: the vocabulary's words that this set has drawings for."""
    drawings = json.loads((fluent / "icons.json").read_text())
    names = {
        code.upper().replace("-FE0F", ""): name
        for code, name in json.loads((fluent / "chars.json").read_text()).items()
    }
    table = json.loads((emoji / "emoji-datasource-google" / "emoji.json").read_text())
    objects = load_vocabulary().objects
    wanted = [
        ("verb", number, _with_tone(code, tone))
        for number, (_, _, codes) in enumerate(VERBS)
        for code in codes
        for tone in _TONES
    ] + [("object", objects.index(tidy_name(name)), code) for code, name in emoji_codes(table)]

    sprites, entries = [], []
    for kind, number, code in wanted:
        name = names.get(code.replace("-FE0F", ""))
        if name in drawings["icons"]:
            sprites.append(draw(drawings["icons"][name]["body"]))
            entries.append([kind, number, "fluent", code])
    sheet = Image.fromarray(tile(sprites))
    sheet.save(out / "fluent.webp", lossless=True, quality=100, method=6)
    index = {"side": SIDE, "columns": COLUMNS, "sprites": entries}
    (out / "fluent.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")
    typer.echo(f"{len(sprites)} sprites in {out}")


def _with_tone(code: str, tone: str) -> str:
    """Put a skin tone behind the first code point, where Unicode wants it.

    >>> _with_tone("1F9D1-200D-1F373", "-1F3FB"), _with_tone("1F3CB-FE0F", "-1F3FB")
    ('1F9D1-1F3FB-200D-1F373', '1F3CB-1F3FB')
    """
    if not tone:
        return code
    first, *rest = code.split("-")
    return "-".join([first + tone, *(point for point in rest if point != "FE0F")])


def draw(body: str) -> UInt8[np.ndarray, "64 64 4"]:
    """One drawing on a 32 x 32 grid as a sprite."""
    import resvg_py  # type: ignore[import-not-found]  # not among the requirements, see above

    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{body}</svg>'
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE))
    with Image.open(io.BytesIO(png)) as image:
        return round_colours(np.asarray(image.convert("RGBA")))


if __name__ == "__main__":
    typer.run(pack)
