"""The calls of Label Studio's API that bulk acceptance makes, in memory."""

import itertools

from backend.label_studio.client import LabelStudioError, TaskPage


class CutOffError(Exception):
    """The process ends here."""


class FakeBulk:
    """One project: tasks with predictions, annotations made of them in bulk, and tabs.

    ``cut_at`` ends the process at that call (from 0), before it took effect; or after, at the next
    that changes something.
    """

    def __init__(self, tasks, *, version="m1"):
        self.predictions = {
            task: [{"id": 1000 + task, "model_version": version, "score": score, "result": []}]
            for task, score in tasks.items()
        }
        self.annotations = {task: [] for task in tasks}
        self.views = {}
        self.cut_at, self.cut_after = None, False
        self.calls = []
        self._ids = itertools.count(5000)

    def annotate(self, task, **fields):
        one = {
            "id": next(self._ids), "task": task, "result": [], "parent_prediction": None,
            "lead_time": 5.0, "ground_truth": False, "updated_at": "first", **fields,
        }  # fmt: skip
        self.annotations[task].append(one)
        return one

    def made(self):
        """Annotations that were made in bulk."""
        return [a for some in self.annotations.values() for a in some if a["lead_time"] is None]

    def tasks_of(self, project, tasks):
        self._cut(after=False)
        rows = [
            {"id": task, "annotations": [dict(a) for a in self.annotations[task]],
             "predictions": self.predictions[task]}
            for task in tasks if task in self.predictions
        ]  # fmt: skip
        self._count(("GET", "tasks"))
        yield TaskPage(rows, len(rows))

    def call(self, method, path, *, json=None, **options):
        self._cut(after=False)
        found = self._answer(method, path, json)
        self._cut(after=True)
        self._count((method, path))
        return found

    def _answer(self, method, path, json):
        if path.startswith("/api/dm/actions?id=predictions_to_annotations"):
            # An empty list stands for all tasks there, as in Label Studio.
            chosen = json["selectedItems"]["included"] or list(self.predictions)
            for task in chosen:
                parents = {a["parent_prediction"] for a in self.annotations[task]}
                for p in self.predictions[task]:
                    if p["model_version"] == json["model_version"] and p["id"] not in parents:
                        self.annotate(task, parent_prediction=p["id"], lead_time=None)
            return {"response_code": 200}
        if path.startswith("/api/dm/views/"):
            number = int(path.split("/")[4]) if method == "PATCH" else len(self.views) + 1
            if method == "PATCH" and number not in self.views:
                raise LabelStudioError("no such page", 404, path)
            self.views[number] = json["data"]
            return {"id": number}
        assert method == "DELETE"
        number = int(path.split("/")[3])
        for some in self.annotations.values():
            some[:] = [a for a in some if a["id"] != number]
        return None

    def _cut(self, *, after):
        if self.cut_at is not None and self.cut_at <= len(self.calls) and self.cut_after == after:
            raise CutOffError

    def _count(self, call):
        self.calls.append(call)
