"""The weights there are on the hub, from a list that ships with the project (no network, no torch).

`make hub-check` compares the list with the hub.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class HubWeights:
    """One model's weights on the Hugging Face hub."""

    name: str  # as `load_backbone` takes it
    repository: str
    files: tuple[str, ...]  # what the weights may be called there, best first
    megabytes: int
    licence: str | None  # None where the repository names none
    gated: bool = False  # whether terms must be accepted on the model's page
    advice: str | None = None  # whom it is recommended to


@cache
def hub_weights() -> dict[str, HubWeights]:
    """Weights by the model's name, recommended ones first."""
    text = (resources.files("videogem") / "data" / "weights.json").read_text(encoding="utf-8")
    rows = [HubWeights(**{**row, "files": tuple(row["files"])}) for row in json.loads(text)]
    return {row.name: row for row in sorted(rows, key=lambda row: row.advice is None)}
