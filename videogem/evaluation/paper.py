"""The paper's tables and figures as lists of methods, and the numbers printed there.

Tables: 1 methods, 2 layer weights, 3 prompts, 4 merges, 5 what video input adds over one frame
repeated. Figures: 3 accuracy with one of the summed terms left out, or only the upper ones kept;
4 how much the class embedding loses without each block, per prompt.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from videogem.errors import InputError
from videogem.evaluation.methods import MethodSpec, parse_method

TABLES: dict[int, tuple[str, tuple[str, ...]]] = {
    1: (
        "Pointing accuracy of training-free methods",
        ("clip", "maskclip", "clip_surgery", "gem6", "gem", "videogem"),
    ),
    2: (
        "Layer weights",
        ("videogem:none", "videogem:dynamic", "videogem:static", "videogem:combined"),
    ),
    3: (
        "Prompt decomposition",
        ("videogem:verb", "videogem:object", "videogem:action", "videogem:all"),
    ),
    4: (
        "Merging the prompts' heatmaps",
        ("videogem:positions", "videogem:maps", "videogem:product"),
    ),
    5: ("Video input against one frame repeated", ("videogem:repeat", "videogem")),
}
FIGURES = {
    3: "Accuracy by the terms that are summed",
    4: "Similarity of class embedding and prompt without each block",
}
VIDEO_TABLES = (5,)
DEPTH = 7  # the paper's K


def table_methods(number: int) -> list[MethodSpec]:
    """The methods of one of the paper's tables.

    Raises:
        InputError: there is no such table.
    """
    if number not in TABLES:
        raise InputError(f"The paper's tables are 1 to 5, got {number}.")
    return [parse_method(text) for text in TABLES[number][1]]


@dataclass(frozen=True)
class Ablation:
    """A point of Figure 3: which of the K + 1 summed terms take part."""

    curve: str  # "left out" or "only from"
    term: int  # 0 is the input of the first used block
    prompt: str
    spec: MethodSpec


def figure_3_methods(depth: int = DEPTH) -> list[Ablation]:
    """Unweighted sums with one term left out, and with only the terms from one upwards."""
    ablations = []
    for prompt in ("verb", "object", "action"):
        for term in range(depth + 1):
            without = [float(index != term) for index in range(depth + 1)]
            upper = [float(index >= term) for index in range(depth + 1)]
            for curve, weights in (("left out", without), ("only from", upper)):
                text = "/".join(f"{weight:g}" for weight in weights)
                spec = parse_method(f"videogem:static,{prompt},depth={depth},static_weights={text}")
                ablations.append(Ablation(curve, term, prompt, spec))
    return ablations


@lru_cache(maxsize=1)
def published() -> dict[str, Any]:
    """The numbers printed in the paper, as far as they could be checked."""
    text = resources.files("videogem").joinpath("data/published.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def published_accuracy(table: int, method: str, model: str, dataset: str) -> float | None:
    """The paper's accuracy (0..1) for a row of ours, None where it is unknown or not the paper's.

    Models count as the paper's by their family: OpenAI's CLIP, OpenCLIP's LAION models, ViCLIP.
    """
    content = published()
    family, dataset = model_family(model), dataset.removesuffix("-videogem")
    if family is None or dataset not in content["datasets"]:
        return None
    for row in content["rows"]:
        if (row["table"], row["method"], row["model"]) == (table, method, family):
            value = row["accuracy"][content["datasets"].index(dataset)]
            return None if value is None else value / 100
    return None


def model_family(model: str) -> str | None:
    """The paper's name for a model: CLIP, OpenCLIP or ViCLIP; None for any other."""
    if model.startswith("ViCLIP"):
        return "ViCLIP"
    _, _, tag = model.partition("/")
    if tag == "openai":
        return "CLIP"
    return "OpenCLIP" if tag.startswith("laion") else None
