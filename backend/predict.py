"""One task -> one prediction."""

import logging
from dataclasses import dataclass
from typing import Any

from backend.frames import read_frame
from backend.labeling import Labeling, Target, fill, look_up
from backend.media import Media
from backend.results import Region, mean_score, to_regions
from backend.validation import problems_of
from videogem.errors import InputError
from videogem.grounder import Grounder
from videogem.structures import Grounding

logger = logging.getLogger(__name__)

Task = dict[str, Any]
Prediction = dict[str, Any]


@dataclass(frozen=True)
class Project:
    """What one request says about its project."""

    id: int | None
    config: str
    labeling: Labeling
    score_threshold: float


def predict_task(
    task: Task, project: Project, *, grounder: Grounder, media: Media, version: str
) -> Prediction:
    """Ground a task's narration in its frames.

    A prediction without regions means that nothing scored enough; what could not be done is an
    error, so that Label Studio never takes it for done.

    Raises:
        InputError: the task's data cannot be used; the reason is for the person who owns them.
    """
    regions: list[Region] = []
    scores: list[float] = []
    for target in project.labeling.targets:
        found, found_scores = _predict_target(task, target, project, grounder=grounder, media=media)
        regions += found
        scores += found_scores
    prediction = {
        "result": regions,
        "score": mean_score(scores),
        "model_version": version,
    }
    if problems := problems_of(prediction, project.config, project.labeling):
        raise RuntimeError(f"task {task.get('id')}: invalid prediction: {'; '.join(problems)}")
    return prediction


def _predict_target(
    task: Task, target: Target, project: Project, *, grounder: Grounder, media: Media
) -> tuple[list[Region], list[float]]:
    data = task.get("data") or {}
    references = fill(target.source.value, data)
    if target.source.kind == "images":
        items: list[tuple[int | None, Any]] = list(enumerate(_as_list(references)))
    else:
        items = [(None, references)]
    regions: list[Region] = []
    scores: list[float] = []
    for item_index, reference in items:
        with media.open(reference, project=project.id, task=task.get("id")) as file:
            clip = read_frame(file)
        narrations = narrations_of(task, target)
        for index, grounding in enumerate(grounder.ground(clip, narrations)):
            if grounding.score < _threshold(target, project):
                continue
            scores.append(grounding.score)
            key = f"{task.get('id')}:{item_index}:{index}"
            regions += _regions(grounding, target, key, item_index)
    return regions, scores


def _regions(
    grounding: Grounding, target: Target, key: str, item_index: int | None
) -> list[Region]:
    return [
        region
        for control in target.controls
        for region in to_regions(grounding, control, key=key, item_index=item_index)
    ]


def narrations_of(task: Task, target: Target) -> list[str]:
    """The sentences to ground: the narration of the task, or the labels that are actions.

    Raises:
        InputError: the narration is missing or empty.
    """
    if target.labels_are == "actions" or target.narration_field is None:
        names = [label.value for control in target.controls for label in control.labels]
        return list(dict.fromkeys(names))
    text = look_up(target.narration_field, task.get("data") or {})
    texts = [text] if isinstance(text, str) else _as_list(text)
    sentences = [
        str(item.get("text", "")) if isinstance(item, dict) else str(item) for item in texts
    ]
    sentences = [sentence.strip() for sentence in sentences if sentence.strip()]
    if not sentences:
        raise InputError(
            f"The task's field {target.narration_field!r} holds no narration, so there is nothing "
            "to ground."
        )
    return sentences


def _threshold(target: Target, project: Project) -> float:
    return float(target.options.get("model_score_threshold", project.score_threshold))


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
