"""Methods by the names people type: a base, and what differs from the paper's settings.

``videogem``, ``gem``, ``gem6``, ``maskclip``, ``clip_surgery``, ``clip``, each optionally followed
by a colon and options: a weighting (``none static dynamic combined``), the prompts that count
(``verb object action all``), a merge (``positions maps product``), ``repeat`` (a video model sees
the target frame repeated), or any setting of the method as ``name=value``, tuples with slashes:
``videogem:static,maps``, ``videogem:verb``, ``videogem:merge_weights=1/1/3,depth=6``.
"""

from dataclasses import dataclass, fields
from typing import Any

from videogem.errors import InputError, meant
from videogem.method.settings import (
    FORMER_NAMES,
    MERGES,
    METHODS,
    WEIGHT_METHODS,
    MethodSettings,
    method_settings,
)

PROMPT_CHOICES = {
    "verb": (1.0, 0.0, 0.0),
    "object": (0.0, 1.0, 0.0),
    "action": (0.0, 0.0, 1.0),
    "all": (0.2, 0.2, 0.6),
}
MERGE_ALIASES = {"avg-pos": "positions", "avg-map": "maps", "mul-map": "product"}
_TUPLES = ("static_weights", "merge_weights")
_INTEGERS = ("depth", "iterations", "dynamic_blocks")
_TEXTS = ("scope", "weights", "merge", "label_style", "spacy_model", "words", "action")
_OF_DATASETS = {"words": "paper", "action": "sentence"}  # words are cut as the paper does


@dataclass(frozen=True)
class MethodSpec:
    """A method as asked for, and the settings that compute it."""

    name: str
    settings: MethodSettings
    repeat_target: bool = False  # a video model sees only the target frame, repeated


def parse_method(text: str, **defaults: Any) -> MethodSpec:
    """Take a method's name apart; settings that it does not name are those of ``defaults``.

    >>> parse_method("videogem:static,verb").settings.merge_weights
    (1.0, 0.0, 0.0)

    Raises:
        InputError: an unknown method, option or value.
    """
    base, _, options = text.partition(":")
    if base not in METHODS:
        raise InputError(
            f"There is no method '{base}'; choose one of {', '.join(METHODS)}."
            f"{meant(base, METHODS)}"
        )
    settings: dict[str, Any] = _OF_DATASETS | defaults
    repeat_target = False
    for option in filter(None, options.split(",")):
        if option == "repeat":
            repeat_target = True
        elif "=" in option:
            name, _, value = option.partition("=")
            name = FORMER_NAMES.get(name, name)
            settings[name] = _value(name, value, text)
        else:
            settings.update(_shorthand(option, text))
    return MethodSpec(text, method_settings(base, **settings), repeat_target)


def _shorthand(option: str, text: str) -> dict[str, Any]:
    option = MERGE_ALIASES.get(option, option)
    if option in WEIGHT_METHODS:
        return {"weights": option}
    if option in MERGES:
        return {"merge": option}
    if option in PROMPT_CHOICES:
        return {"merge_weights": PROMPT_CHOICES[option]}
    choices = (*WEIGHT_METHODS, *PROMPT_CHOICES, *MERGES, "repeat")
    raise InputError(
        f"Unknown option '{option}' in the method '{text}'; there are {', '.join(choices)}, "
        f"and settings as name=value."
    )


def _value(name: str, value: str, text: str) -> Any:
    known = {field.name for field in fields(MethodSettings)}
    try:
        if name in _TUPLES:
            return tuple(float(number) for number in value.split("/"))
        if name in _INTEGERS:
            return int(value)
        if name in _TEXTS or name not in known:  # method_settings names the unknown ones
            return value
        return float(value)
    except ValueError:
        raise InputError(
            f"The setting '{name}={value}' in the method '{text}' is no number."
        ) from None
