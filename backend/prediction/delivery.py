"""Predictions -> Label Studio through its API, each task's at most once."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.prediction.predict import Prediction

logger = logging.getLogger(__name__)

Pair = tuple[int, Prediction]  # a task's id and its prediction
Sending = Callable[[Sequence[int]], set[int]]
Record = Callable[[ProjectKey, Sequence[Pair]], None]  # what keeps them for the quality figures


@dataclass(frozen=True)
class Delivery:
    """A prediction on its way, and what became of it: no ``error`` means it is in Label Studio."""

    task: int
    prediction: Prediction
    error: str | None = None
    new: bool = True  # False: Label Studio had one of this version already


def deliver(
    label_studio: LabelStudio,
    project: int,
    predictions: Sequence[Pair],
    *,
    sending: Sending = set,
) -> list[Delivery]:
    """Save predictions, leaving out tasks that have one of the same version already.

    Looking first is what makes this safe to repeat after a crash between saving and noting it.
    ``sending`` is told the tasks right before each request, and gives those that still may be sent.

    Raises:
        LabelStudioError: Label Studio cannot be reached or does not work just now.
    """
    done: list[Delivery] = []
    for version in dict.fromkeys(str(one["model_version"]) for _, one in predictions):
        pairs = [pair for pair in predictions if pair[1]["model_version"] == version]
        there = label_studio.predicted(project, [task for task, _ in pairs], version)
        done += [Delivery(*pair, new=False) for pair in pairs if pair[0] in there]
        missing = [pair for pair in pairs if pair[0] not in there]
        done += _save(label_studio, project, missing, sending)
    return done


def _save(
    label_studio: LabelStudio, project: int, pairs: Sequence[Pair], sending: Sending
) -> list[Delivery]:
    """Save all in one request; one bad task refuses them all, and is found by halving."""
    allowed = sending([task for task, _ in pairs])
    pairs = [pair for pair in pairs if pair[0] in allowed]
    if not pairs:
        return []
    try:
        label_studio.add_predictions(project, [{"task": task, **one} for task, one in pairs])
    except LabelStudioError as error:
        if not error.is_about_the_request:
            raise
        if len(pairs) == 1:
            return [Delivery(*pairs[0], error=str(error))]
        # Of more than 500 Label Studio may have saved the first before it met the bad one.
        version = str(pairs[0][1]["model_version"])
        there = label_studio.predicted(project, [task for task, _ in pairs], version)
        left = [pair for pair in pairs if pair[0] not in there]
        half = max(len(left) // 2, 1)
        return [
            *(Delivery(*pair) for pair in pairs if pair[0] in there),
            *_save(label_studio, project, left[:half], sending),
            *_save(label_studio, project, left[half:], sending),
        ]
    return [Delivery(*pair) for pair in pairs]


def record_quietly(record: Record, key: ProjectKey, pairs: Sequence[Pair]) -> None:
    """Keep predictions for the quality figures; if that fails, a sync brings them later."""
    if not pairs:
        return
    try:
        record(key, pairs)
    except Exception:  # whatever ails the quality store must not lose what was predicted
        logger.exception("project %s: %d predictions are not in the quality store yet; the next "
                         "sync with Label Studio brings them", key.id, len(pairs))  # fmt: skip
