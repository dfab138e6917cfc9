"""A project of simulated predictions in a store, and reviews of some of its tasks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import logit, ndtr, ndtri

from backend.database.keys import ProjectKey
from backend.qa.events import Changes, read_event
from backend.qa.store import Store
from benchmarks.reviews_saved import World, world
from tests.qa_events import annotation, box, created, point, prediction

PROJECT = ProjectKey("", 7)
TRUE_BOX = (40.0, 40.0, 20.0, 20.0)
AWAY = (70.0, 70.0, 20.0, 20.0)


@dataclass
class StoredProject:
    """Tasks 0 to n - 1, each with one point: in the true box where it hits."""

    store: Store
    made: World

    def review(self, tasks: Iterable[int], how: str = "independent", *, annotator: int = 1) -> None:
        """Annotate tasks: ``independent``, ``accepted`` unchanged, ``edited``, or in ``bulk``;
        ``missed`` is drawn independently, and elsewhere than the point.
        """
        changes = Changes()
        for task in tasks:
            guess = _guess(task, hit=self.made.hits[task])
            own = [box(*(AWAY if how == "missed" else TRUE_BOX), id=f"own{task}")]
            is_free = how in ("independent", "missed")
            more = {} if is_free else {"prediction": guess, "parent_prediction": task}
            regions = own if is_free or how == "edited" else guess["result"]
            if how == "bulk":
                more["lead_time"] = None
            made = annotation(10_000 * annotator + task, regions, task=task, project=PROJECT.id,
                              completed_by=annotator, **more)  # fmt: skip
            event = created(made, video=f"video{self.made.videos[task]}")
            one = read_event(event, made["updated_at"])
            for name in ("projects", "tasks", "annotations", "predictions"):
                getattr(changes, name).extend(getattr(one, name))
        self.store.merge(PROJECT.server, changes)  # one transaction: hundreds of events take long


def stored_project(
    store: Store, tasks: int, *, accuracy: float = 0.7, auroc: float = 0.85, seed: int = 0,
    per_video: int = 1,
) -> StoredProject:  # fmt: skip
    """Put predictions of one version into a store."""
    made = world(tasks, accuracy, auroc, np.random.default_rng(seed), per_video=per_video)
    predictions = []
    for task, score in made.scores.items():
        guess = _guess(task, hit=made.hits[task])
        predictions.append((task, {**guess, "score": score}))
    store.record_all(PROJECT, predictions)
    return StoredProject(store, made)


def risk_from(least: float, accuracy: float, auroc: float) -> float:
    """Chance that a task of the simulated world with at least this score is wrong."""
    shift = math.sqrt(2) * ndtri(auroc)
    z = logit(least)
    right, wrong = accuracy * ndtr(shift - z), (1 - accuracy) * ndtr(-z)
    return float(wrong / (right + wrong))


def _guess(task: int, *, hit: bool) -> dict:
    place = 50.0 if hit else 5.0
    return prediction([point(place, place, id=f"kp{task}")], id=task, version="m1")
