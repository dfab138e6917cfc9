"""Tasks -> predictions: read the media, ground, write regions, check them."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.labeling.controls import fill
from backend.labeling.results import Found, Region, mean_score, to_regions
from backend.labeling.validation import problems_of
from backend.media.media import Media
from backend.prediction.loading import Project, Task, Work, load_task
from backend.prediction.videos import predict_video
from videogem.errors import InputError
from videogem.grounder import Grounder
from videogem.structures import Grounding

logger = logging.getLogger(__name__)

Prediction = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one task: a prediction, or the reason why there is none.

    A prediction without regions means that nothing scored enough. What could not be done is never
    written as an empty prediction: Label Studio would take the task for done.
    """

    task: Task
    prediction: Prediction | None = None
    error: str | None = None


def predict_many(
    tasks: Sequence[Task], project: Project, *, grounder: Grounder, media: Media
) -> list[Outcome]:
    """Predict tasks together: their frames go through the image tower in one batch.

    One task's failure never takes the others with it; a defect of ours is logged with its traceback
    and becomes that task's reason.
    """
    loaded: list[list[Work] | Outcome] = []
    for task in tasks:
        try:
            loaded.append(load_task(task, project, grounder, media))
        except Exception as error:
            loaded.append(_failed(task, error))
    works = [work for each in loaded if not isinstance(each, Outcome) for work in each]
    try:
        groundings = iter(_ground(works, grounder))
    except Exception as error:
        if len(tasks) == 1:
            return [_failed(tasks[0], error)]
        # Somebody's frame or narration cannot be grounded: alone, each gets its own reason.
        return [predict_many([t], project, grounder=grounder, media=media)[0] for t in tasks]
    outcomes = []
    for task, each in zip(tasks, loaded, strict=True):
        if isinstance(each, Outcome):
            outcomes.append(each)
            continue
        found = [(work, next(groundings)) for work in each]
        try:
            videos = _videos(task, project, grounder, media)
            outcomes.append(Outcome(task, prediction=assemble(task, found, project, videos)))
        except Exception as error:
            outcomes.append(_failed(task, error))
    return outcomes


def _failed(task: Task, error: Exception) -> Outcome:
    if isinstance(error, InputError):
        logger.warning("task %s: %s", task.get("id"), error)
        return Outcome(task, error=str(error))
    logger.error("task %s: a defect of the backend", task.get("id"), exc_info=error)
    return Outcome(task, error=f"Defect in the backend ({type(error).__name__}), see its log.")


def _ground(works: Sequence[Work], grounder: Grounder) -> list[list[Grounding]]:
    if not works:
        return []
    return grounder.ground_batch([w.clip for w in works], [w.narrations for w in works])


def _videos(
    task: Task, project: Project, grounder: Grounder, media: Media
) -> tuple[list[Region], list[float]]:
    """Regions and scores of a task's videos."""
    regions: list[Region] = []
    scores: list[float] = []
    for target in project.labeling.targets:
        if target.source.kind == "video":
            reference = fill(target.source.value, task.get("data") or {})
            more = predict_video(task, target, reference, project, grounder, media)
            regions += more[0]
            scores += more[1]
    return regions, scores


def assemble(
    task: Task,
    found: Sequence[tuple[Work, list[Grounding]]],
    project: Project,
    videos: tuple[list[Region], list[float]],
) -> Prediction:
    """Write the regions of one task, and check them."""
    regions, scores = videos
    for work, groundings in found:
        for index, grounding in enumerate(groundings):
            if grounding.score < project.score_threshold:
                continue
            one = Found(
                dataclasses.replace(grounding, model_version=project.version),
                key=f"{task.get('id')}:{work.item_index}:{index}",
                labels_are=work.target.labels_are,
                item_index=work.item_index,
                similarity=work.similarity,
            )
            written = to_regions(one, work.target.controls)
            regions += written
            if written:
                scores.append(grounding.score)
    prediction = {
        "result": regions,
        "score": mean_score(scores),
        "model_version": project.version,
    }
    return checked(prediction, project)


def checked(prediction: Prediction, project: Project) -> Prediction:
    """The prediction itself, if Label Studio can show it.

    Raises:
        RuntimeError: it cannot, which is a defect of this backend.
    """
    if problems := problems_of(prediction, project.config, project.labeling):
        raise RuntimeError(f"invalid prediction: {'; '.join(problems)}")
    return prediction
