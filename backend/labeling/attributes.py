"""The ``model_*`` attributes of a labeling config: the operator's choices per project and tag.

``ATTRIBUTES`` is the one table of them; the README's table is compared with it by a test. An
attribute may stand on a control, on its Image or Video tag, or on the outermost View; the tag
nearest to the control wins.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from videogem.errors import InputError

FIELD_PREFIX = "$"
MAX_COUNT = 10_000
PROMPT_PARTS = ("verb", "object", "action")


@dataclass(frozen=True)
class Attribute:
    """One attribute: how its text is read, and what the documentation says."""

    name: str
    values: str
    default: str
    meaning: str
    read: Callable[[str], Any]


def _flag(text: str) -> bool:
    if text.strip().lower() in ("true", "1", "yes"):
        return True
    if text.strip().lower() in ("false", "0", "no"):
        return False
    raise ValueError("true or false")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number in [0, 1]") from None
    if not 0 <= value <= 1:
        raise ValueError("a number in [0, 1]")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number above 0") from None
    if not 0 < value < float("inf"):
        raise ValueError("a number above 0")
    return value


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError("a whole number of at least 1") from None
    if not 1 <= value <= MAX_COUNT:
        raise ValueError(f"a whole number from 1 to {MAX_COUNT}")
    return value


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("a name")
    return text.strip()


def _field(text: str) -> str:
    if not text.startswith(FIELD_PREFIX) or len(text) < 2:
        raise ValueError("a task field such as $narration")
    return text[1:]


def _field_or_time(text: str) -> str | float:
    if text.startswith(FIELD_PREFIX):
        return _field(text)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError("a task field such as $time, or seconds")
    return value


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not parts or set(parts) - set(PROMPT_PARTS):
        raise ValueError("one or more of verb, object, action, separated by commas")
    return parts


def _output(text: str) -> str:
    if text not in ("box", "point"):
        raise ValueError("box or point")
    return text


def _meaning(text: str) -> str:
    if text not in ("narration", "actions"):
        raise ValueError("narration or actions")
    return text


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        "model_narration",
        "`$field`",
        "the Text, Paragraphs, Header or TextArea of the config",
        "task field with the sentence to ground",
        _field,
    ),
    Attribute(
        "model_time",
        "`$field` or seconds",
        "task field `time`, else the middle",
        "which moment of a video an image or a point stands for",
        _field_or_time,
    ),
    Attribute(
        "model_labels",
        "`narration` or `actions`",
        "`narration`, or `actions` where the config has no narration",
        "whether the narration says what to ground, or every label is itself an action",
        _meaning,
    ),
    Attribute(
        "model_top",
        "whole number",
        "1",
        "with `actions`: how many labels, best first, are grounded in a frame",
        _count,
    ),
    Attribute(
        "model_prompts",
        "`verb`, `object`, `action`",
        "`action`, and those that have a label of their own",
        "which parts of the narration get a point",
        _parts,
    ),
    Attribute(
        "model_score_threshold",
        "0 to 1",
        "`VIDEOGEM_SCORE_THRESHOLD`",
        "regions scoring less are left out",
        _share,
    ),
    Attribute(
        "model_presence_threshold",
        "0 to 1",
        "0",
        "chance that the frame shows the action, below which nothing is pointed at: the task "
        "(or a note in it) says 'not in this frame'; needs a model with a calibrated score",
        _share,
    ),
    Attribute(
        "model_box_threshold",
        "0 to 1",
        "the method's own",
        "share of the heatmap's peak above which a place belongs to the box",
        _share,
    ),
    Attribute(
        "model_mask_threshold",
        "0 to 1",
        "0.5",
        "share of the heatmap's peak above which a pixel belongs to a brush or bitmask region",
        _share,
    ),
    Attribute(
        "model_method", "method name", "`VIDEOGEM_METHOD`", "grounding method of the project", _name
    ),
    Attribute("model_weights", "model name", "`VIDEOGEM_MODEL`", "weights of the project", _name),
    Attribute(
        "model_output",
        "`box` or `point`",
        "`box`",
        "what a VideoRectangle follows; a point is a small box, as Label Studio has no other",
        _output,
    ),
    Attribute(
        "model_every",
        "seconds",
        "0.5",
        "in videos: time between the frames that are grounded",
        _positive,
    ),
    Attribute(
        "model_fps",
        "frames per second",
        "`framerate` of the Video tag",
        "frame rate Label Studio shows the video with",
        _positive,
    ),
    Attribute("model_skip", "`true` or `false`", "`false`", "leave this control alone", _flag),
)

_BY_NAME = {attribute.name: attribute for attribute in ATTRIBUTES}


def read_attributes(tag: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Read the ``model_*`` attributes of one tag.

    Raises:
        InputError: an attribute is unknown or its value wrong; names tag, attribute and value.
    """
    values: dict[str, Any] = {}
    for name, text in given.items():
        if not name.startswith("model_"):
            continue
        if name not in _BY_NAME:
            known = ", ".join(_BY_NAME)
            raise InputError(f"{tag}: unknown attribute {name[:80]}; known are {known}.")
        try:
            values[name] = _BY_NAME[name].read(text)
        except ValueError as error:
            raise InputError(f"{tag}: {name} must be {error}, got {text[:80]!r}.") from None
    return values
