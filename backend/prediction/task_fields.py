"""What a task and its project say: sentences, labels, times, frames."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from backend.database.keys import ProjectKey
from backend.labeling.labels import Similarity
from backend.labeling.shapes import number
from backend.labeling.targets import Control, Label, Labeling, Target, look_up
from backend.prediction.questions import Chooser
from videogem.errors import InputError
from videogem.narration import clocks
from videogem.narration.prompts import parse
from videogem.narration.spoken import without_html

Task = dict[str, Any]
TIME_FIELD = "time"
LARGEST_ID = 2**31 - 1  # what the columns hold on every database
SHOWN_CHARS = 200  # of a value in a message
SPAN_FIELDS = ("start", "end")
MAX_TASK_LABELS = 2000  # of one control; each is compared with the frame
MAX_LABEL_CHARS = 1000
MAX_NARRATIONS = 50  # of one frame: a task with more holds something else than narrations


@dataclass(frozen=True)
class Project:
    """What one request says about its project."""

    id: int | None
    config: str
    labeling: Labeling
    version: str
    score_threshold: float = 0.0
    key: ProjectKey | None = None


def data_of(task: Task) -> dict[str, Any]:
    """A task's fields.

    Raises:
        InputError: they are no JSON object.
    """
    data = task.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"The task's data must be a JSON object, got {cut(data)}.")
    return data


def id_of(task: Task) -> int | None:
    """What Label Studio knows a task by; None for one that was never saved there."""
    id = task.get("id")
    return id if type(id) is int and 0 <= id <= LARGEST_ID else None


def cut(value: Any) -> str:
    """What came, as a message shows it: tasks may hold megabytes."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def sentences_of(task: Task, target: Target) -> Sequence[str] | Chooser:
    """The sentences to ground: the task's narration, or what chooses the labels that fit the frame.

    Raises:
        InputError: the narration is missing or empty.
    """
    if target.labels_are == "actions" or target.narration_field is None:
        action_labels(target)
        return partial(fitting_actions, target)
    texts = target.narration(data_of(task))
    sentences = [_sentence(item) for item in (texts if isinstance(texts, list) else [texts])]
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise InputError(
            f"The task's field {target.narration_field!r} holds no narration, so there is nothing "
            "to ground."
        )
    return sentences[:MAX_NARRATIONS]


def _sentence(item: Any) -> str:
    """Narration as text, or as a cue or a paragraph with text in it."""
    if isinstance(item, dict):
        item = item.get("text", "")
    return "" if item is None else without_html(str(item)).strip()


def fitting_actions(target: Target, similarity: Similarity | None) -> list[str]:
    """Of labels that are actions, the ``model_top`` most similar to the frame.

    Without a model that compares frames with texts, all of them.
    """
    labels = action_labels(target)
    top = int(target.options.get("model_top", 1))
    if similarity is None or len(labels) <= top:
        return labels
    scores = similarity([parse(label).action_prompt for label in labels])
    ranked = sorted(range(len(labels)), key=lambda index: -scores[index])
    return [labels[index] for index in ranked[:top]]


def action_labels(target: Target) -> list[str]:
    """All labels of a target's controls, in the order of the config.

    Raises:
        InputError: there are none, because the task brings none.
    """
    labels = [label.value for control in target.controls for label in control.labels]
    if not labels:
        raise InputError("The task brings no labels, so there is no action to ground.")
    return list(dict.fromkeys(labels))


def with_task_labels(target: Target, task: Task) -> Target:
    """The target with labels that come from the task (``value="$labels"``).

    Raises:
        InputError: they are more, or longer, than people choose from.
    """
    if not any(control.labels_field for control in target.controls):
        return target
    controls = tuple(_with_task_labels(control, task) for control in target.controls)
    return dataclasses.replace(target, controls=controls)


def _with_task_labels(control: Control, task: Task) -> Control:
    if control.labels_field is None:
        return control
    given = look_up(control.labels_field, data_of(task))
    items = given if isinstance(given, list) else [given]
    if len(items) > MAX_TASK_LABELS:
        raise InputError(
            f"The task's field {control.labels_field!r} has {len(items):,} labels; at most "
            f"{MAX_TASK_LABELS:,} are read."
        )
    values = [str(item.get("value", "")) if isinstance(item, dict) else str(item) for item in items]
    longest = max(map(len, values), default=0)
    if longest > MAX_LABEL_CHARS:
        raise InputError(
            f"The task's field {control.labels_field!r} has a label of {longest:,} characters; at "
            f"most {MAX_LABEL_CHARS:,} are read."
        )
    labels = tuple(Label(value, (value.lower(),)) for value in values if value)
    return dataclasses.replace(control, labels=labels or control.labels)


def time_of(task: Task, target: Target) -> float | None:
    """The moment of a video that is grounded: told by the config, else the task's ``time``.

    Raises:
        InputError: no time.
    """
    data = data_of(task)
    told = target.options.get("model_time")
    value = look_up(told, data) if isinstance(told, str) else told
    if told is None:
        value = data.get(TIME_FIELD)
    if value is None or value == "":
        return None
    return seconds_of("time", value)


def span_of(task: Task) -> tuple[float, float] | None:
    """The part of a video a task is about, from its ``start`` to its ``end``; None without them.

    Raises:
        InputError: one is missing or no time, or they are the wrong way round.
    """
    data = data_of(task)
    given = [data.get(name) for name in SPAN_FIELDS]
    if all(value is None or value == "" for value in given):
        return None
    start, end = (seconds_of(name, value) for name, value in zip(SPAN_FIELDS, given, strict=True))
    if end < start:
        raise InputError(f"The task's start ({start:g} s) lies after its end ({end:g} s).")
    return start, end


def seconds_of(name: str, value: Any) -> float:
    """A time in a task: seconds, also as text, or a clock ('1:02.5').

    Raises:
        InputError: neither, or before the start.
    """
    found = None if isinstance(value, str) and len(value) > 40 else number(clocks.seconds(value))
    if found is None or found < 0:
        raise InputError(
            f"The task's {name} must be a number of seconds or a clock such as 1:02.5, got "
            f"{cut(value)}."
        )
    return found


def seconds(value: Any) -> float | None:
    """A number, or a text that is one; None for everything else."""
    if isinstance(value, str) and len(value) < 40:
        try:
            value = float(value)
        except ValueError:
            return None
    return number(value)


def frame_list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InputError(f"The task's frames must be a list of addresses, got {cut(value)}.")
    return value
