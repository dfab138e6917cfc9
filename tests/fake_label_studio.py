"""The few calls of Label Studio's API that the backend makes, in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from tests.http_server import Answer, Request, Server, http_server

PAGE_SIZE = 100


class FakeLabelStudio:
    """One project with tasks and predictions; refuses predictions of tasks it does not have."""

    def __init__(self, server: Server, config: str, tasks: list[dict[str, Any]]) -> None:
        self.url = server.url
        self.server = server
        self.config = config
        self.tasks = tasks
        self.predictions: list[dict[str, Any]] = []
        self.last_number = 0
        self.down = False
        server.routes["/api/projects/1/"] = lambda request: Answer({"label_config": config})
        server.routes["/api/tasks/"] = self._list_tasks
        server.routes["/api/predictions/"] = self._list_predictions
        server.routes["/api/projects/1/import/predictions"] = self._import

    def _list_tasks(self, request: Request) -> Answer:
        page = int(parse_qs(request.query)["page"][0])
        some = self.tasks[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
        rows = [
            {
                **task,
                "predictions_model_versions": ",".join(
                    one["model_version"] for one in self.predictions if one["task"] == task["id"]
                ),
            }
            for task in some
        ]
        return Answer({"tasks": rows, "total": len(self.tasks)})

    def _list_predictions(self, request: Request) -> Answer:
        task = int(parse_qs(request.query)["task"][0])
        return Answer([one for one in self.predictions if one["task"] == task])

    def _import(self, request: Request) -> Answer:
        known = {task["id"] for task in self.tasks}
        if self.down:
            return Answer({"detail": "down"}, 503)
        if any(one["task"] not in known for one in request.body):
            return Answer({"detail": "no such task"}, 400)
        for one in request.body:
            self.last_number += 1
            number = self.last_number
            self.predictions.append({"id": number, **one})
            path = f"/api/predictions/{number}/"
            self.server.routes[path] = lambda request, number=number: self._delete(number)
        return Answer({"created": len(request.body)}, 201)

    def _delete(self, number: int) -> Answer:
        self.predictions = [one for one in self.predictions if one["id"] != number]
        return Answer(status=204)

    def count(self) -> dict[int, int]:
        """How many predictions each task has."""
        return {
            task["id"]: sum(one["task"] == task["id"] for one in self.predictions)
            for task in self.tasks
        }


@contextmanager
def fake_label_studio(config: str, tasks: list[dict[str, Any]]) -> Iterator[FakeLabelStudio]:
    """Run one for the length of a test."""
    with http_server() as server:
        yield FakeLabelStudio(server, config, tasks)
