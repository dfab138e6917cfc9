"""The settings of the method: everything that changes the numbers, and the version they make.

Nothing here imports torch, so that the service can check settings and name its version at once.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast, get_args

from videogem import __version__
from videogem.errors import InputError, check_choice, meant
from videogem.structures import ActionForm, LabelStyle, WordCut

Method = Literal["videogem", "clip", "maskclip", "clip_surgery", "gem", "gem6"]
Scope = Literal["all", "patches", "stripe", "other-stripes", "stripes-average", "official-eval"]
WeightMethod = Literal["none", "static", "dynamic", "combined"]
Dtype = Literal["fp32", "bf16"]  # of the image tower
JpegDecoder = Literal["cpu", "gpu"]
Merge = Literal["positions", "maps", "product"]

METHODS: tuple[Method, ...] = get_args(Method)
SCOPES: tuple[Scope, ...] = get_args(Scope)
WEIGHT_METHODS: tuple[WeightMethod, ...] = get_args(WeightMethod)
MERGES: tuple[Merge, ...] = get_args(Merge)

_CHOICES: dict[str, tuple[str, ...]] = {
    "method": METHODS,
    "weights": WEIGHT_METHODS,
    "scope": SCOPES,
    "merge": MERGES,
    "label_style": get_args(LabelStyle),
    "words": get_args(WordCut),
    "action": get_args(ActionForm),
}

BOX_RULE = "doubt"
"""What `boxes.box_of_regions` does, so that boxes of before look outdated where they may differ."""

FORMER_NAMES = {
    "temperature": "inverse_temperature",
    "dynamic_temperature": "dynamic_inverse_temperature",
}
"""Settings as they were called before -> their names now; the old ones are still taken."""

STATIC_WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 0.9, 0.9)
"""The paper's table for K = 7: first the input of the first used block, then the seven blocks."""


@dataclass(frozen=True)
class AttentionSettings:
    """How the self-self branch of the tower runs (Section 3.2)."""

    depth: int = 7  # K: the last K blocks take part
    iterations: int = 1  # J
    inverse_temperature: float | None = None  # None is the adaptive one
    scope: Scope = "all"
    baselines: bool = False  # also collect what only the other methods read


@dataclass(frozen=True)
class MethodSettings:
    """Everything that changes the numbers, with the paper's values as defaults.

    Raises:
        InputError: a value is out of its range.
    """

    method: Method = "videogem"
    weights: WeightMethod = "combined"
    static_weights: tuple[float, ...] = STATIC_WEIGHTS
    depth: int = 7  # K
    iterations: int = 1  # J
    inverse_temperature: float | None = None  # None is the adaptive one
    scope: Scope = "all"
    dynamic_blocks: int = 3  # D
    dynamic_inverse_temperature: float = 20.0  # the paper's tau_d
    merge: Merge = "positions"
    merge_weights: tuple[float, float, float] = (0.2, 0.2, 0.6)  # verb, object, action
    box_threshold: float = 0.5
    label_style: LabelStyle = "auto"
    words: WordCut = "everyday"  # datasets are read by the paper's cut, see evaluation/methods.py
    action: ActionForm = "phrase"
    spacy_model: str | None = None

    def __post_init__(self) -> None:
        for name in ("depth", "iterations", "dynamic_blocks"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.method == "videogem":
            self._check_weights()
        beta = self.inverse_temperature
        if beta is not None and beta <= 0:
            raise InputError(f"inverse_temperature must be above 0, got {beta}.")
        weights = self.merge_weights
        if len(weights) != 3 or min(weights) < 0 or not any(weights):
            raise InputError(
                f"merge_weights must be three numbers of at least 0 for verb, object and action, "
                f"not all 0; got {weights}."
            )
        if not 0 < self.box_threshold <= 1:
            raise InputError(f"box_threshold must lie in (0, 1], got {self.box_threshold}.")

    def _check_weights(self) -> None:
        if self.dynamic_blocks > self.depth:
            raise InputError(
                f"dynamic_blocks must be at most depth = {self.depth}, got {self.dynamic_blocks}."
            )
        if self.weights in ("static", "combined"):
            check_static_weights(self.static_weights, self.depth)

    @property
    def attention(self) -> AttentionSettings:
        baselines = self.method not in ("videogem", "gem")
        return AttentionSettings(
            self.depth, self.iterations, self.inverse_temperature, self.scope, baselines=baselines
        )

    @property
    def prompt_weights(self) -> tuple[float, float, float]:
        """Weights of the verb, object and action prompt; baselines use the action prompt alone."""
        return self.merge_weights if self.method == "videogem" else (0.0, 0.0, 1.0)

    @property
    def digest(self) -> str:
        """Short hash of the settings, part of the version.

        A setting that got a better name counts under its first one: predictions made with it are
        as good as before, and must not look outdated.
        """
        first_names = {new: old for old, new in FORMER_NAMES.items()}
        values = {first_names.get(name, name): value for name, value in asdict(self).items()}
        if any(self.prompt_weights[:2]):  # the others' boxes are as ever
            values["box_rule"] = BOX_RULE
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def check_static_weights(static_weights: tuple[float, ...], depth: int) -> None:
    """Raise InputError unless there is one static weight per residual term."""
    if len(static_weights) != depth + 1:
        raise InputError(
            f"The static weights must have depth + 1 = {depth + 1} numbers (one for the input of "
            f"the first used block, one for each of the {depth} blocks), got {len(static_weights)}."
        )


def method_settings(method: str = "videogem", **settings: Any) -> MethodSettings:
    """MethodSettings from loosely typed values (command line, environment, labeling config).

    Raises:
        InputError: an unknown name, told with the ones there are, or a value out of its range.
    """
    for old, new in FORMER_NAMES.items():
        if old in settings:
            settings.setdefault(new, settings.pop(old))
    for name, allowed in _CHOICES.items():
        value = settings.get(name, allowed[0]) if name != "method" else method
        check_choice(name, value, allowed)
    known = {field.name for field in fields(MethodSettings)} - {"method"}
    if unknown := settings.keys() - known:
        raise InputError(
            f"Unknown method setting '{min(unknown)}'; there are: {', '.join(sorted(known))}."
            f"{meant(min(unknown), known)}"
        )
    return MethodSettings(cast(Method, method), **settings)


def version_string(model: str, settings: MethodSettings) -> str:
    """Package version, model and method with a hash of its settings."""
    return f"videogem-{__version__}/{model}/{settings.method}-{settings.digest}"
