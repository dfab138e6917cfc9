"""What a labeling config comes down to: targets, controls, labels; and task fields by name."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.labeling.attributes import FIELD_PREFIX
from videogem.errors import InputError

SourceKind = Literal["image", "images", "video"]
LabelMeaning = Literal["narration", "actions"]

# Names begin with a letter ('$5' is a price), and a full stop behind one ends the sentence.
_FIELD = re.compile(r"\$\{?([^\W\d][\w\[\]]*(?:\.[\w\[\]]+)*)\}?")

MAX_FILLED_CHARS = 1_000_000  # of a text with task fields in it
WHOLE_PROJECT = ("model_method", "model_weights")  # in the model's own version already


@dataclass(frozen=True, slots=True)  # a config may have thousands
class Label:
    """One label or choice: the value Label Studio stores, and other names it goes by."""

    value: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Control:
    """One control that gets regions."""

    kind: str  # the module of `backend.labeling.controls` that fills it
    tag: str
    name: str
    to_name: str
    type: str  # the region's `type` and, where it has labels, the key of its labels
    labels: tuple[Label, ...]
    labels_field: str | None = None  # task field with dynamic labels
    labels_name: str | None = None  # separate Labels control that labels these regions
    per_region: bool = False  # belongs to a drawn region rather than to the whole task
    options: dict[str, Any] = field(default_factory=dict)
    further: bool = False  # one of several objects it writes to, and not the first

    @property
    def has_labels(self) -> bool:
        return bool(self.labels or self.labels_field)


@dataclass(frozen=True)
class Source:
    """The Image or Video tag that frames come from."""

    kind: SourceKind
    name: str
    value: str  # as in the config: "$frame", or a text with a field in it
    framerate: str | float | None = None  # task field or number, videos only


@dataclass(frozen=True)
class Target:
    """One Image or Video with the controls that are filled from it."""

    source: Source
    controls: tuple[Control, ...]
    narration_field: str | None  # or a text with fields in it: "$verb the $object"
    labels_are: LabelMeaning
    options: dict[str, Any]
    text_key: str = "text"  # of paragraphs: what is said

    def narration(self, data: Mapping[str, Any]) -> Any:
        """What a task says of its narration: a text, texts, cues or paragraphs.

        Raises:
            InputError: the task lacks the field.
        """
        field = self.narration_field or ""
        value = fill(field, data) if FIELD_PREFIX in field else look_up(field, data)
        if self.text_key == "text" or not isinstance(value, list):
            return value
        return [
            {**item, "text": item.get(self.text_key, "")} if isinstance(item, dict) else item
            for item in value
        ]


@dataclass(frozen=True)
class Labeling:
    """What a labeling config asks for.

    ``problems`` say why it can never work as it stands; ``notes`` what is left alone and why.
    """

    targets: tuple[Target, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def setting(self, name: str) -> Any:
        """A `model_*` attribute that counts for the whole project; None where it is not given."""
        places = (self.options, *(target.options for target in self.targets))
        return next((place[name] for place in places if name in place), None)

    @property
    def version_suffix(self) -> str:
        """What the config's `model_*` attributes add to the model version.

        Label Studio keeps predictions of an unchanged version; other attributes give other ones.
        """
        chosen = [
            (control.name, name, repr(value))
            for target in self.targets
            for control in target.controls
            for name, value in sorted(control.options.items())
            if name not in WHOLE_PROJECT
        ]
        if not chosen:
            return ""
        return "+" + hashlib.sha256(repr(sorted(chosen)).encode()).hexdigest()[:6]

    def require_targets(self) -> None:
        """Refuse to predict with a config that has nothing to fill.

        Raises:
            InputError: an empty prediction would count as done.
        """
        self.require()
        if not self.targets:
            raise InputError(" ".join(self.notes) or "There is nothing to fill.")

    def require(self) -> None:
        """Refuse a config that can never work.

        Raises:
            InputError: with every problem in it.
        """
        if self.problems:
            raise InputError(" ".join(self.problems))


def data_field(value: str) -> str | None:
    """Name of the task field a tag's value refers to: ``$frame`` -> ``frame``."""
    return next(iter(fields_of(value)), None)


def fields_of(value: str) -> tuple[str, ...]:
    """Names of the task fields in a tag's value.

    >>> fields_of("Step $n: ${what}, then $images[0].url. It costs $5.")
    ('n', 'what', 'images[0].url')
    """
    return tuple(dict.fromkeys(_FIELD.findall(value)))


def fill(value: str, data: Mapping[str, Any]) -> Any:
    """What a tag's value stands for in one task: the field itself, or a text with it filled in.

    Raises:
        InputError: the task lacks the field.
    """
    if value.startswith(FIELD_PREFIX) and data_field(value) == value[1:]:
        return look_up(value[1:], data)
    fields = _FIELD.findall(value)
    texts = {name: str(look_up(name, data)) for name in dict.fromkeys(fields)}
    if sum(len(texts[name]) for name in fields) > MAX_FILLED_CHARS:
        raise InputError(
            f"The task's fields make {value[:80]!r} longer than {MAX_FILLED_CHARS:,} characters."
        )
    return _FIELD.sub(lambda match: texts[match[1]], value)


def look_up(name: str, data: Mapping[str, Any]) -> Any:
    """A task field by name, also nested: ``clip.frames[0]``.

    Raises:
        InputError: the task lacks the field.
    """
    if name in data:
        return data[name]
    value: Any = data
    for part in re.findall(r"\w+", name):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            fields = ", ".join(str(key)[:100] for key in sorted(data)[:20]) or "none"
            raise InputError(
                f"The task has no field {name!r}, which the labeling config shows; "
                f"its fields are: {fields}."
            ) from None
    return value
