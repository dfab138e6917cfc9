"""Smart tools: ground near a click, inside a drawn box, or a text somebody typed.

Label Studio sends one task with everything made by hand so far, the newest region last, and shows
the answer as suggestions. A frame already seen has its tokens at hand: only the heatmaps of the
text, and the search for their peaks in the part that was pointed at, are done anew.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from backend.labeling.masks import MAP_WEIGHTS
from backend.labeling.regions import Found, Region, from_percent
from backend.labeling.results import form_of, to_regions
from backend.labeling.shapes import number
from backend.labeling.targets import Control, Target
from backend.media.media import Media
from backend.media.turns import fetching_until
from backend.prediction.batcher import Batcher
from backend.prediction.frames import MakeRoom
from backend.prediction.questions import Priority
from backend.prediction.reading import read_still
from backend.prediction.room import Room
from backend.prediction.task_fields import Project, Task, cut
from backend.prediction.writing import Prediction, checked
from videogem.errors import InputError
from videogem.method.boxes import action_box
from videogem.structures import PROMPT_NAMES, Grounding

NEIGHBOURHOOD = 0.12  # radius round a click, as a share of the frame's longer side
LEAST = 1e-3  # value of the lowest place inside, so that every place outside is lower
TEMPLATE = "a photo of a person "  # how the prompts begin that TextArea regions show


def context_regions(params: Any) -> list[Region]:
    """What was drawn or typed in an interactive request; empty in an ordinary one."""
    context = params.get("context") if isinstance(params, dict) else None
    results = context.get("result") if isinstance(context, dict) else None
    if not isinstance(results, list):
        return []
    return [
        region
        for region in results
        if isinstance(region, dict) and isinstance(region.get("value"), dict)
    ]


def other_event(params: Any) -> str | None:
    """What an interactive request is about, if it asks for no prediction.

    Newer Label Studio tells a backend more than clicks through ``params.context.event``: that a
    task is opened (``prewarm``) or closed (``release``), or it asks what there is
    (``capabilities``). There is nothing to be labelled then, and a whole task must not be
    predicted by mistake. None for ``predict`` and where there is no event, as in 1.23.
    """
    context = params.get("context") if isinstance(params, dict) else None
    event = context.get("event") if isinstance(context, dict) else None
    return None if event in (None, "", "predict") else cut(event)


def suggest(
    task: Task,
    regions: Sequence[Region],
    project: Project,
    *,
    batcher: Batcher,
    media: Media,
    seconds: float | None = None,
) -> Prediction:
    """Regions for what was pointed at or typed last, within so many seconds.

    Raises:
        InputError: the task or the region cannot be used, or the time is up; Label Studio shows
            the reason.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    with _room(batcher.room, deadline, seconds) as make_room:
        return _suggest(task, regions, project, batcher, media, deadline, seconds, make_room)


@contextmanager
def _room(room: Room, deadline: float | None, seconds: float | None) -> Iterator[MakeRoom]:
    # What a click decodes counts until its answer is there.
    taken: list[int] = []

    def make_room(num_bytes: int) -> None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not room.take(num_bytes, Priority.CLICK, left):
            raise InputError(
                f"There was no room to decode the frame within {seconds:g} s "
                "(VIDEOGEM_PREDICT_BUDGET): others are being decoded."
            )
        taken.append(num_bytes)

    try:
        yield make_room
    finally:
        for num_bytes in taken:
            room.give(num_bytes, Priority.CLICK)


def _suggest(
    task: Task,
    regions: Sequence[Region],
    project: Project,
    batcher: Batcher,
    media: Media,
    deadline: float | None,
    seconds: float | None,
    make_room: MakeRoom,
) -> Prediction:
    newest = regions[-1]
    target = _target_of(newest, project)
    with fetching_until(deadline):
        slot, question = read_still(
            task,
            target,
            _item_of(newest),
            project,
            media=media,
            num_frames=batcher.num_frames,
            make_room=make_room,
        )
    label = _label_of(newest)
    text = _typed(regions)
    as_action = text is None and slot.target.labels_are == "actions" and label is not None
    if text is not None or as_action:
        question = dataclasses.replace(question, sentences=[text or str(label)])
    elif not callable(question.sentences):
        question = dataclasses.replace(question, sentences=question.sentences[:1])
    asked = batcher.ask(question, Priority.CLICK)
    try:
        answer = asked.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        if not asked.cancel() and asked.done():  # the model's own error, or just now there
            raise
        raise InputError(
            f"The model did not come to it within {seconds:g} s (VIDEOGEM_PREDICT_BUDGET)."
        ) from None
    grounding = answer.groundings[0]
    if newest.get("type") != "textarea":
        grounding = focus(grounding, place_of(newest, grounding))
    # Label Studio puts an accepted suggestion in the place of the region with its id, so an answer
    # to the narration has the ids of its pre-label, which is the first sentence (`writing.Writer`).
    is_narration = text is None and slot.target.labels_are != "actions"
    asked_for = 0 if is_narration else newest.get("id")
    found = Found(
        dataclasses.replace(grounding, model_version=project.version),
        key=f"{task.get('id')}:{slot.item_index}:{asked_for}",
        labels_are="actions" if as_action else "narration",
        item_index=slot.item_index,
        similarity=answer.similarity,
    )
    controls = [
        control if as_action else _labelled(control, label)
        for control in slot.target.controls
        if form_of(control).has_place
    ]
    prediction = {
        "result": to_regions(found, controls),
        "score": round(found.grounding.score, 6),
        "model_version": project.version,
    }
    return checked(prediction, project)


def place_of(region: Region, grounding: Grounding) -> np.ndarray:
    """The part of the heatmaps a drawn region stands for: a disk round a click, or the box.

    A negative click (``is_positive: false``) stands for everything else.
    """
    height, width = grounding.heatmaps.shape[1:]
    frame_width, frame_height = grounding.size_wh
    columns = (np.arange(width) + 0.5) / width
    rows = ((np.arange(height) + 0.5) / height)[:, None]
    value = region["value"]
    x, y = (_share(region, name) for name in ("x", "y"))
    if "height" in value:
        right, bottom = x + _share(region, "width"), y + _share(region, "height")
        place = (columns >= x) & (columns <= right) & (rows >= y) & (rows <= bottom)
    else:
        longer = max(frame_width, frame_height)
        across = (columns - x) * frame_width / longer
        down = (rows - y) * frame_height / longer
        place = np.hypot(across, down) <= NEIGHBOURHOOD
    if region.get("is_positive") is False:
        place = ~place
    if not place.any():  # smaller than a pixel of the heatmap: the pixel it lies in
        place[min(int(y * height), height - 1), min(int(x * width), width - 1)] = True
    return np.asarray(place)


def _share(region: Region, name: str) -> float:
    """One of a region's percentages as a share of the frame.

    Raises:
        InputError: it is none.
    """
    value = number(region["value"].get(name))
    if value is None:
        raise InputError(
            f"A smart {cut(region.get('type'))} cannot be answered: its {name} must be a "
            f"percentage, got {cut(region['value'].get(name))}."
        )
    return from_percent(value)


def focus(grounding: Grounding, place: np.ndarray) -> Grounding:
    """The grounding as if there were no frame outside ``place``.

    Every prompt's best place inside counts, however weak it is against the rest of the frame; the
    score falls as much as the merged heatmap does.
    """
    from videogem.method.heatmaps import merge_points, peak  # imports torch, which is loaded by now

    # Of the whole frame's score nothing holds for a part of it: what is left is the map's height.
    height = grounding.score if grounding.signals is None else grounding.signals.height
    before = np.tensordot(np.asarray(MAP_WEIGHTS), grounding.heatmaps, axes=1)
    heatmaps = np.stack([_stretched(heatmap, place) for heatmap in grounding.heatmaps])
    point = merge_points(heatmaps, MAP_WEIGHTS)
    if not _inside(point, place):  # between two peaks of a place with a hole in it
        point = merge_points(heatmaps, MAP_WEIGHTS, "maps")
    box, doubtful = action_box(heatmaps, MAP_WEIGHTS)
    return dataclasses.replace(
        grounding,
        heatmaps=heatmaps,
        points=dict(zip(PROMPT_NAMES, map(peak, heatmaps), strict=True)),
        point=point,
        box=box,
        doubtful=doubtful,
        score=float(np.clip(height * before[place].max() / before.max(), 0, 1))
        if before.max() > 0
        else 0.0,
        signals=None,
        scoring=None,
        presence=None,
    )


def _stretched(heatmap: np.ndarray, place: np.ndarray) -> np.ndarray:
    """One heatmap with the values inside spread over [LEAST, 1], and 0 outside."""
    inside = heatmap[place]
    span = float(inside.max() - inside.min())
    spread = (heatmap - inside.min()) / span if span > 0 else np.ones_like(heatmap)
    return np.where(place, LEAST + (1 - LEAST) * spread, 0.0).astype(np.float32)


def _inside(point: tuple[float, float], place: np.ndarray) -> bool:
    height, width = place.shape
    row, column = int(point[1] * height), int(point[0] * width)
    return bool(place[min(row, height - 1), min(column, width - 1)])


def _target_of(region: Region, project: Project) -> Target:
    targets = project.labeling.targets
    for target in targets:
        if region.get("to_name") == target.source.name:
            return target
    for target in targets:  # of a text somebody typed, which belongs to no image
        if str(region.get("from_name")) in {control.name for control in target.controls}:
            return target
    known = ", ".join(target.source.name for target in project.labeling.targets)
    raise InputError(
        f"The smart region belongs to {cut(region.get('to_name'))}, but grounded are only: {known}."
    )


def _item_of(region: Region) -> int:
    index = region.get("item_index")
    return index if isinstance(index, int) and index >= 0 else 0


def _label_of(region: Region) -> str | None:
    """The label that was selected for a drawn region."""
    value = region["value"]
    labels = value.get(str(region.get("type"))) or value.get("labels") or []
    return str(labels[0]) if isinstance(labels, list) and labels else None


def _typed(regions: Sequence[Region]) -> str | None:
    """The newest text in a TextArea, without what the prompts of our own predictions add."""
    for region in reversed(regions):
        if region.get("type") == "textarea":
            texts = region["value"].get("text") or []
            text = str(texts[-1] if isinstance(texts, list) and texts else texts or "").strip()
            if text.lower().startswith(TEMPLATE):
                text = text[len(TEMPLATE) :].rstrip(".")
            if text:
                return text
    return None


def _labelled(control: Control, label: str | None) -> Control:
    """The control with only the label somebody selected, where it has that one."""
    chosen = tuple(each for each in control.labels if each.value == label)
    return dataclasses.replace(control, labels=chosen) if chosen else control
