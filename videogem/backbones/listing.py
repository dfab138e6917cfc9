"""Which models can be asked for by name, and whether their weights are on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass

from videogem.backbones.hub import cached
from videogem.backbones.manifest import hub_weights
from videogem.backbones.names import SHIPPED

_SHIPPED_ADVICE = {
    "demo": "the shipped emoji world, frames",
    "demo-viclip": "the shipped emoji world, videos",
}


@dataclass(frozen=True)
class ListedModel:
    """A name that `load_backbone` takes."""

    name: str
    here: bool  # whether its weights are on this machine
    megabytes: int
    licence: str | None
    gated: bool
    advice: str | None


def list_models() -> Iterator[ListedModel]:
    """Models that ship with the project, then those of the hub, recommended ones first.

    Asks neither the network nor torch.
    """
    for name, path in SHIPPED.items():
        if path.exists():
            size = round(path.stat().st_size / 1e6)
            yield ListedModel(name, True, size, "Apache-2.0", False, _SHIPPED_ADVICE[name])
    for weights in hub_weights().values():
        here = cached(weights.repository, weights.files) is not None
        yield ListedModel(
            weights.name,
            here,
            weights.megabytes,
            weights.licence,
            weights.gated,
            weights.advice,
        )
