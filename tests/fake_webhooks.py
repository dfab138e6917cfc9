"""The models and webhooks of one project, as Label Studio's API keeps them."""

from typing import Any
from urllib.parse import parse_qs

from tests.http_server import Answer, Request, Server

BACKEND = "http://backend.local:9090"


class FakeWebhooks:
    """Webhooks that can be listed, made and changed; ``refuses`` is the status of making one."""

    def __init__(self, server: Server, *hooks: dict[str, Any], project: int = 1) -> None:
        self.hooks = {hook["id"]: hook for hook in hooks}
        self.models = [{"id": 2, "url": BACKEND, "state": "CO", "project": project}]
        self.refuses: int | None = None
        self.changes: list[Request] = []
        self.project = project
        self._server = server
        server.routes["/api/ml/"] = lambda request: Answer(self.models)
        server.routes["/api/webhooks/"] = self._list
        for number in self.hooks:
            self._serve(number)

    def _serve(self, number: int) -> None:
        def change(request: Request) -> Answer:
            self.changes.append(request)
            # As Label Studio does: actions that are not sent again are gone.
            self.hooks[number] = {**self.hooks[number], "actions": [], **request.body}
            return Answer(self.hooks[number])

        self._server.routes[f"/api/webhooks/{number}/"] = change

    def _list(self, request: Request) -> Answer:
        if request.method == "GET":
            asked = parse_qs(request.query)["project"] == [str(self.project)]
            return Answer(list(self.hooks.values()) if asked else [])
        self.changes.append(request)
        if self.refuses is not None:
            return Answer({"url": ["Enter a valid URL."]}, self.refuses)
        number = max(self.hooks, default=0) + 1
        self.hooks[number] = {"id": number, **request.body}
        self._serve(number)
        return Answer(self.hooks[number], 201)


def hook(number: int = 1, **values: Any) -> dict[str, Any]:
    """A webhook that is as it should be, but for these values."""
    return {
        "id": number, "url": f"{BACKEND}/webhook", "headers": {}, "is_active": True,
        "send_payload": True, "send_for_all_actions": True, "actions": [],
    } | values  # fmt: skip
