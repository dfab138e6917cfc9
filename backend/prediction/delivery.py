"""Predictions -> Label Studio through its API, each task's at most once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.prediction.predict import Prediction

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """A prediction on its way, and what became of it: no ``error`` means it is in Label Studio."""

    task: int
    prediction: Prediction
    error: str | None = None
    new: bool = True  # False: Label Studio had one of this version already


def deliver(
    label_studio: LabelStudio, project: int, predictions: Sequence[tuple[int, Prediction]]
) -> list[Delivery]:
    """Save predictions, leaving out tasks that have one of the same version already.

    Looking first is what makes this safe to repeat after a crash between saving and noting it.

    Raises:
        LabelStudioError: Label Studio cannot be reached or does not work just now.
    """
    done: list[Delivery] = []
    missing: list[tuple[int, Prediction]] = []
    for task, prediction in predictions:
        if label_studio.has_prediction(task, str(prediction["model_version"])):
            done.append(Delivery(task, prediction, new=False))
        else:
            missing.append((task, prediction))
    if not missing:
        return done
    try:
        _save(label_studio, project, missing)
        return done + [Delivery(task, prediction) for task, prediction in missing]
    except LabelStudioError as error:
        if not error.is_about_the_request:
            raise
    # One bad task (deleted meanwhile, say) refuses them all: find out which.
    for task, prediction in missing:
        try:
            _save(label_studio, project, [(task, prediction)])
            done.append(Delivery(task, prediction))
        except LabelStudioError as error:
            if not error.is_about_the_request:
                raise
            done.append(Delivery(task, prediction, error=str(error)))
    return done


def _save(
    label_studio: LabelStudio, project: int, predictions: Sequence[tuple[int, Prediction]]
) -> None:
    label_studio.add_predictions(
        project, [{"task": task, **prediction} for task, prediction in predictions]
    )
