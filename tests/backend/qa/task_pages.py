"""The pages of tasks that a sync reads, and what it leaves in the store."""

import copy

from backend.database import schema
from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudioError, TaskPage
from tests.qa_events import CREATED, annotation, box, point, prediction

ONE = ProjectKey("", 1)
GUESS = prediction([point(30, 30), box(20, 20, 20, 20)], id=70)


class FakeLabelStudio:
    """The pages of /api/tasks/, as Label Studio 1.23 gives them."""

    has_token = True
    page_size = 100

    def __init__(self, *tasks):
        self.tasks = {task["id"]: task for task in tasks}
        self.calls = 0
        self.down = False
        self.after_first_page = lambda: None

    def project(self, project):
        return {"id": project, "title": "kitchen", "label_config": "<View/>", "updated_at": CREATED}

    def task_pages(self, project):
        self.calls += 1
        if self.down:
            raise LabelStudioError("Label Studio cannot be reached.")
        tasks = copy.deepcopy(list(self.tasks.values()))
        for first in range(0, max(1, len(tasks)), self.page_size):
            total = len(self.tasks)
            yield TaskPage(tasks[first : first + self.page_size], total)
            self.after_first_page()
            self.after_first_page = lambda: None
            tasks = copy.deepcopy(list(self.tasks.values()))


def task(id, *annotations, predictions=()):
    return {
        "id": id,
        "project": 1,
        "data": {"narration": "cut the onion"},
        "created_at": CREATED,
        "updated_at": CREATED,
        "annotations": [{**a, "completed_by": {"id": a["completed_by"]}} for a in annotations],
        "predictions": list(predictions),
    }


def made(id, dx=0, **extra):
    regions = [point(30, 30), box(20 + dx, 20, 20, 20)]
    return annotation(id, regions, task=id, parent_prediction=70, **extra)


def many(count):
    return [task(i, made(i), predictions=[{**GUESS, "id": 700 + i}]) for i in range(1, count + 1)]


def alive(store):
    return [a["id"] for a in store.rows(schema.annotations) if not a["deleted_at"]]
