"""One task -> the clips and sentences to ground."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from backend.database.keys import ProjectKey
from backend.labeling.controls import Control, Label, Labeling, Target, fill, look_up
from backend.labeling.labels import Similarity
from backend.media.media import Media
from backend.prediction.frames import read_frame_list, read_moment, window_length
from videogem.errors import InputError
from videogem.grounder import Grounder
from videogem.narration.prompts import parse
from videogem.structures import Clip

Task = dict[str, Any]
TIME_FIELD = "time"
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


@dataclass(frozen=True, eq=False)
class Work:
    """One frame to ground: its clip and sentences, and where the regions go."""

    target: Target
    item_index: int | None
    clip: Clip
    narrations: list[str]
    similarity: Similarity | None


def load_task(task: Task, project: Project, grounder: Grounder, media: Media) -> list[Work]:
    """Fetch and decode what a task shows, once per frame.

    Raises:
        InputError: the task's data cannot be used; the reason is for the person who owns them.
    """
    works: list[Work] = []
    for target in project.labeling.targets:
        if target.source.kind == "video":
            continue  # see videos.py
        target = with_task_labels(target, task)
        for item_index, clip in _clips(task, target, project, grounder, media):
            similarity = _similarity(grounder, clip)
            narrations = narrations_of(task, target, similarity)
            works.append(Work(target, item_index, clip, narrations, similarity))
    return works


def _clips(
    task: Task, target: Target, project: Project, grounder: Grounder, media: Media
) -> Iterator[tuple[int | None, Clip]]:
    reference = fill(target.source.value, task.get("data") or {})
    num_frames = window_length(grounder)
    with ExitStack() as stack:

        def open_media(one: Any) -> BinaryIO:
            file = media.open(one, project=project.key, task=task.get("id"))
            return stack.enter_context(file)

        if target.source.kind == "images":
            files = [open_media(one) for one in _frame_list(reference)]
            yield from enumerate(read_frame_list(files, num_frames=num_frames))
        else:
            time = time_of(task, target)
            yield None, read_moment(open_media(reference), time=time, num_frames=num_frames)


def narrations_of(task: Task, target: Target, similarity: Similarity | None) -> list[str]:
    """The sentences to ground: the task's narration, or the labels that fit the frame best.

    Raises:
        InputError: the narration is missing or empty.
    """
    if target.labels_are == "actions" or target.narration_field is None:
        return fitting_actions(target, similarity)
    texts = look_up(target.narration_field, task.get("data") or {})
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
    return "" if item is None else str(item).strip()


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
    """The target with labels that come from the task (``value="$labels"``)."""
    if not any(control.labels_field for control in target.controls):
        return target
    controls = tuple(_with_task_labels(control, task) for control in target.controls)
    return dataclasses.replace(target, controls=controls)


def _with_task_labels(control: Control, task: Task) -> Control:
    if control.labels_field is None:
        return control
    given = look_up(control.labels_field, task.get("data") or {})
    values = [
        str(item.get("value", "")) if isinstance(item, dict) else str(item)
        for item in (given if isinstance(given, list) else [given])
    ]
    labels = tuple(Label(value, (value.lower(),)) for value in values if value)
    return dataclasses.replace(control, labels=labels or control.labels)


def time_of(task: Task, target: Target) -> float | None:
    """The moment of a video that is grounded: told by the config, else the task's ``time``.

    Raises:
        InputError: not a number of seconds.
    """
    data = task.get("data") or {}
    told = target.options.get("model_time")
    value = look_up(told, data) if isinstance(told, str) else told
    if told is None:
        value = data.get(TIME_FIELD)
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"The task's time must be a number of seconds, got {value!r}.") from None


def _similarity(grounder: Grounder, clip: Clip) -> Similarity | None:
    """How similar a clip is to texts, where the grounder can tell; asked only when needed."""
    compare = getattr(grounder, "similarity", None)
    if compare is None:
        return None
    return lambda texts: [float(score) for score in compare(clip, list(texts))]


def _frame_list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InputError(f"The task's frames must be a list of addresses, got {value!r}.")
    return value
