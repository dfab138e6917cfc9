"""Two small logistic models over the signals of a grounding, and how they are written down.

One estimates the chance that the point lies in the true box, the other that the frame shows the
action at all. They are kept as JSON, so that the service names its version without loading a fit's
data, and anybody can read what a score is made of.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from videogem.errors import InputError
from videogem.structures import Signals

Term = tuple[str, ...]  # a signal, or several that are multiplied

POINT_TERMS: tuple[Term, ...] = (
    ("verb",),
    ("object",),
    ("action",),
    ("neutral",),
    ("neutral_spread",),
    ("agreement",),
    ("height",),
    ("margin",),
    ("spread",),
    # In a frame that the model makes little of, and where the action is hardly there, the same
    # agreement of the peaks says less.
    ("action", "neutral_spread"),
    ("action", "agreement"),
    ("action", "height"),
)
PRESENCE_TERMS: tuple[Term, ...] = (
    ("verb",),
    ("object",),
    ("action",),
    ("neutral",),
    ("neutral_spread",),
    ("action", "neutral_spread"),
)
_IN_VERSION = "+score-"
FARTHEST = 4.0  # standard deviations; beyond what the fit saw nothing is extrapolated


@dataclass(frozen=True)
class Logistic:
    """Chance = 1 / (1 + exp(-(intercept + sum of weight x term))), signals standardised first."""

    terms: tuple[Term, ...]
    means: Mapping[str, float]
    deviations: Mapping[str, float]
    weights: tuple[float, ...]
    intercept: float

    def chance(self, signals: Signals) -> float:
        """In (0, 1)."""
        found = {
            name: max(-FARTHEST, min(FARTHEST, (getattr(signals, name) - mean) / deviation))
            for name, mean, deviation in self._scales
        }
        # Every row of a bulk run passes here: lists are half the time of generators.
        terms = [
            weight * math.prod([found[name] for name in term])
            for weight, term in zip(self.weights, self.terms, strict=True)
        ]
        total = self.intercept + math.fsum(terms)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))

    @cached_property
    def _scales(self) -> list[tuple[str, float, float]]:
        """Mean and deviation of each signal."""
        return [(name, mean, self.deviations[name]) for name, mean in self.means.items()]


@dataclass(frozen=True)
class Scoring:
    """What makes the scores of one model: a name for people, and the two models.

    Corrections say nothing of sentences that are not in the frame, so a fit to them may have no
    ``presence``.
    """

    name: str
    point: Logistic
    presence: Logistic | None

    @property
    def digest(self) -> str:
        """Short hash of all that changes a score, part of the model version."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:8]

    @property
    def suffix(self) -> str:
        """What a model version says of its scores."""
        return f"{_IN_VERSION}{self.digest}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> "Scoring":
        """
        Raises:
            InputError: it is no such file.
        """
        try:
            presence = data["presence"]
            return cls(
                str(data["name"]),
                _logistic(data["point"]),
                None if presence is None else _logistic(presence),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"This is no scoring as videogem writes it ({error!r}).") from None


def is_calibrated(version: str) -> bool:
    """Whether the scores of a model version are chances; others only rank."""
    return _IN_VERSION in version


def _logistic(data: Any) -> Logistic:
    terms = tuple(tuple(map(str, term)) for term in data["terms"])
    names = {name for term in terms for name in term}
    means, deviations = (
        {name: float(data[key][name]) for name in sorted(names)} for key in ("means", "deviations")
    )
    weights = tuple(map(float, data["weights"]))
    numbers = [*means.values(), *deviations.values(), *weights, float(data["intercept"])]
    if len(weights) != len(terms) or not all(map(math.isfinite, numbers)):
        raise ValueError("a weight for each term is missing, or a number is not finite")
    if min(deviations.values()) <= 0 or names - set(Signals.__dataclass_fields__):
        raise ValueError("a deviation is not above 0, or a signal is unknown")
    return Logistic(terms, means, deviations, weights, float(data["intercept"]))


def table(signals: Sequence[Signals], names: Sequence[str]) -> Float[np.ndarray, "M n"]:
    """Signals as rows."""
    return np.array([[getattr(each, name) for name in names] for each in signals], float).reshape(
        len(signals), len(names)
    )
