"""What `annotate` and `evaluate` send to a cluster."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend.bulk.jobs import BulkJob
from backend.bulk.on_ray import spread
from backend.bulk.ray_start import Cluster
from backend.label_studio.connections import Connections
from backend.labeling.targets import Labeling
from backend.media.media import Media
from backend.prediction.model import Models
from backend.prediction.predict import Outcome, predict_many
from backend.prediction.questions import Priority
from backend.prediction.task_fields import Project, Task
from backend.settings import Settings
from videogem.datasets.base import Item
from videogem.evaluation import Answers, Skipped
from videogem.evaluation.run import Work

TASKS_TOGETHER = 8


@dataclass(frozen=True)
class TasksJob(BulkJob):
    """Lists of tasks become outcomes, as in this process; workers fetch the media themselves."""

    settings: Settings
    project: Project

    def load(self) -> Callable[[Sequence[list[Task]]], list[list[Outcome]]]:
        batcher = models_of(self.settings).for_labeling(self.project.labeling).batcher()
        media = Media(self.settings, Connections(self.settings))

        def predict(items: Sequence[list[Task]]) -> list[list[Outcome]]:
            tasks = [task for item in items for task in item]
            outcomes = iter(
                predict_many(
                    tasks, self.project, batcher=batcher, media=media, priority=Priority.JOBS
                )
            )
            return [[next(outcomes) for _ in item] for item in items]

        return predict

    def split(self, item: list[Task]) -> list[list[Task]]:
        return [[task] for task in item]

    def lost(self, item: list[Task], reason: str) -> list[Outcome]:
        return [Outcome(task, error=reason) for task in item]


@dataclass(frozen=True)
class OnCluster:
    """Predicts a project's tasks on a cluster, with the settings of this process."""

    settings: Settings
    cluster: Cluster

    def version(self, labeling: Labeling) -> str:
        return models_of(self.settings).version_of(labeling)

    def outcomes(self, tasks: Iterable[Task], project: Project) -> Generator[Outcome]:
        listed = list(tasks)
        items = [
            listed[start : start + TASKS_TOGETHER]
            for start in range(0, len(listed), TASKS_TOGETHER)
        ]
        if items:
            job = TasksJob(self.settings, project)
            yield from spread(items, job, self.cluster, num_results=len(listed))


def models_of(settings: Settings) -> Models:
    """The models of the settings; none is loaded before it is asked for."""
    from backend.web.app import configured_model, project_models

    model = configured_model(settings)
    return Models(model, project_models(settings, model))


@dataclass(frozen=True)
class EvaluationJob(BulkJob):
    """Batches of a dataset's items become answers of every method."""

    work: Work

    def load(self) -> Callable[[Sequence[list[Item]]], list[list[tuple[int, Answers]]]]:
        answer = self.work.start()
        return lambda items: [[(len(item), answer(item))] for item in items]

    def split(self, item: list[Item]) -> list[list[Item]]:
        return [[one] for one in item]

    def lost(self, item: list[Item], reason: str) -> list[tuple[int, Answers]]:
        nothing: Any = [[] for _ in self.work.specs]
        return [(len(item), (nothing, [Skipped(one.id, reason) for one in item]))]


def evaluate_on(cluster: Cluster) -> Callable[[Work, Sequence[list[Item]]], Iterator[Any]]:
    """What a run of the evaluation hands its batches to."""

    def evaluate(work: Work, batches: Sequence[list[Item]]) -> Iterator[Any]:
        sent = [[with_whole_paths(item) for item in batch] for batch in batches]
        return spread(sent, EvaluationJob(work), cluster, num_results=sum(map(len, batches)))

    return evaluate


def with_whole_paths(item: Item) -> Item:
    """An item as workers in folders of their own can read it."""
    return replace(
        item,
        image=item.image.absolute() if isinstance(item.image, Path) else item.image,
        window=tuple(path.absolute() for path in item.window),
        video_path=item.video_path and item.video_path.absolute(),
    )
