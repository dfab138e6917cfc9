"""The paper's tables and figures as lists of methods, and the numbers printed there.

Tables: 1 methods, 2 layer weights, 3 prompts, 4 merges, 5 what video input adds over one frame
repeated; ``1+`` is Table 1 with further baselines that the paper does not print. Figures: 3 GEM
with one layer left out, 4 GEM by its number of layers; ``cosine``, which the paper does not have,
is how much the class embedding loses without each block.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from videogem.errors import InputError
from videogem.evaluation.methods import MethodSpec, parse_method

DEPTH = 7  # the paper's K


@dataclass(frozen=True)
class PaperTable:
    """A table's title and rows: our method by the name the paper gives the row."""

    title: str
    rows: Mapping[str, str]
    printed_as: str  # the table whose printed numbers belong to the rows
    needs_video: bool = False

    def name(self, method: str) -> str:
        """The paper's name of a method's row; '-' for a method it does not have."""
        return next((name for name, own in self.rows.items() if own == method), "-")


_TABLE_1 = {"GEM": "gem", "VideoGEM": "videogem"}
_BASELINES = {
    "plain CLIP": "clip",
    "MaskCLIP": "maskclip",
    "CLIP Surgery": "clip_surgery",
    "GEM, six layers": "gem6",
}
TABLES: dict[str, PaperTable] = {
    "1": PaperTable("Pointing accuracy of methods without grounding training", _TABLE_1, "1"),
    "1+": PaperTable(
        "The same with baselines that the paper does not print", _BASELINES | _TABLE_1, "1"
    ),
    "2": PaperTable(
        "Layer weights",
        {name: f"videogem:{name}" for name in ("none", "dynamic", "static", "combined")},
        "2",
    ),
    "3": PaperTable(
        "Prompt decomposition",
        {name: f"videogem:{name}" for name in ("verb", "object", "action", "all")},
        "3",
    ),
    "4": PaperTable(
        "Merging the prompts",
        {
            "none": "videogem:action",
            "product of maps": "videogem:product",
            "mean of maps": "videogem:maps",
            "mean of positions": "videogem:positions",
        },
        "4",
    ),
    "5": PaperTable(
        "Video input against one frame repeated",
        {
            "GEM, video": "gem",
            "GEM, one image repeated": "gem:repeat",
            "VideoGEM, video": "videogem",
            "VideoGEM, one image repeated": "videogem:repeat",
        },
        "5",
        needs_video=True,
    ),
}
FIGURES = {
    "3": "Accuracy of GEM with one layer left out",
    "4": "Accuracy of GEM by its number of layers",
    "cosine": "Similarity of class embedding and prompt without each block",
}
PAPER_MODELS = {
    "ViT-B-16/openai": "CLIP",
    "ViT-B-16-quickgelu/openai": "CLIP",
    "ViT-B-16/laion2b_s34b_b88k": "OpenCLIP",
    "hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K": "OpenCLIP",
    "ViCLIP-B-16/internvid-10m-flt": "ViCLIP",
}
"""Architecture and weights of the paper by the names people give; a file of one's own may hold
anything, so it never counts as the paper's."""


def paper_table(number: str) -> PaperTable:
    """One of the paper's tables.

    Raises:
        InputError: there is no such table.
    """
    if number not in TABLES:
        raise InputError(
            f"The paper's tables are 1 to 5 (1+: Table 1 with further baselines), got '{number}'."
        )
    return TABLES[number]


def table_methods(number: str, **defaults: Any) -> list[MethodSpec]:
    """The methods of one of the paper's tables, with settings that it does not vary.

    Raises:
        InputError: there is no such table.
    """
    return [parse_method(text, **defaults) for text in paper_table(number).rows.values()]


def figure_3_methods(depth: int = DEPTH) -> dict[int, MethodSpec]:
    """GEM with one of its ``depth + 1`` summed terms left out, by the term's number in the paper.

    1 is the self-self output of the last block, ``depth + 1`` the input of the first one used.
    """
    found = {}
    for number in range(1, depth + 2):
        kept = ["0" if term == depth + 1 - number else "1" for term in range(depth + 1)]
        text = f"videogem:static,action,depth={depth},static_weights={'/'.join(kept)}"
        found[number] = parse_method(text)
    return found


def figure_4_methods(depth: int = DEPTH) -> dict[int, MethodSpec]:
    """GEM by its number of self-self layers, counted from the last; 0 is the backbone itself."""
    return {0: parse_method("clip")} | {
        number: parse_method(f"gem:depth={number}") for number in range(1, depth + 1)
    }


@lru_cache(maxsize=1)
def published() -> dict[str, Any]:
    """All numbers that the paper's tables print."""
    text = resources.files("videogem").joinpath("data/published.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def published_accuracy(table: str, method: str, model: str, dataset: str) -> float | None:
    """The paper's accuracy (0..1) for a row of ours; None where it prints none.

    Only where dataset, architecture and weights are the paper's (`PAPER_MODELS`).
    """
    column, own = _column(dataset), PAPER_MODELS.get(model)
    if column is None or own is None or table not in TABLES:
        return None
    number = TABLES[table].printed_as
    for row in published()["rows"]:
        if (row["table"], row["method"], row["model"]) == (number, method, own):
            value = row["accuracy"][column]
            return None if value is None else value / 100
    return None


def published_systems(table: str, dataset: str) -> dict[str, float]:
    """Accuracies (0..1) that a table prints for systems other than its methods, on a dataset."""
    column = _column(dataset)
    if column is None or table not in TABLES:
        return {}
    number = TABLES[table].printed_as
    return {
        f"{row['name']} ({row['backbone']})": row["accuracy"][column] / 100
        for row in published()["rows"]
        if row["table"] == number and row["method"] is None and row["accuracy"][column] is not None
    }


def _column(dataset: str) -> int | None:
    names: list[str] = published()["datasets"]
    dataset = dataset.removesuffix("-videogem")
    return names.index(dataset) if dataset in names else None
