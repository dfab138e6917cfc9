"""The few calls of Label Studio's API that the backend makes, in memory."""

import json
from collections import Counter
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
        server.routes["/api/projects/1/"] = lambda request: Answer(
            {"id": 1, "title": "", "label_config": self.config}
        )
        server.routes["/api/tasks/"] = self._list_tasks
        server.routes["/api/projects/1/model-versions/"] = self._count_versions
        server.routes["/api/predictions/"] = self._list_predictions
        server.routes["/api/projects/1/import/predictions"] = self._import

    def _list_tasks(self, request: Request) -> Answer:
        query = parse_qs(request.query)
        page, size = int(query["page"][0]), int(query.get("page_size", [PAGE_SIZE])[0])
        tasks = self.tasks
        if "query" in query:
            [item] = json.loads(query["query"][0])["filters"]["items"]
            assert (item["filter"], item["operator"]) == ("filter:tasks:id", "in")
            tasks = [
                task for task in tasks if item["value"]["min"] <= task["id"] <= item["value"]["max"]
            ]
        some = tasks[(page - 1) * size : page * size]
        versions: dict[int, list[str]] = {}
        for one in list(self.predictions):
            versions.setdefault(one["task"], []).append(one["model_version"])
        rows = [
            {
                **task,
                "predictions_model_versions": ",".join(versions.get(task["id"], [])),
            }
            for task in some
        ]
        return Answer({"tasks": rows, "total": len(tasks)})

    def _count_versions(self, request: Request) -> Answer:
        return Answer(Counter(one["model_version"] for one in list(self.predictions)))

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
