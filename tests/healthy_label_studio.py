"""A Label Studio where all is well, as `videogem doctor` looks at it; tests then break a part."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.backend.prediction.test_batch import CONFIG
from tests.http_server import Answer, Server, http_server
from tests.images import image_url

BACKEND = "http://backend.local:9090"


@contextmanager
def healthy_label_studio() -> Iterator[Server]:
    """One project with a task, a connected backend and its webhook."""
    task = {"id": 5, "data": {"i": image_url(), "t": "cut tomato"}}
    hook = {
        "id": 1, "url": f"{BACKEND}/webhook", "headers": {}, "is_active": True,
        "send_payload": True,
    }  # fmt: skip
    model = {"id": 2, "url": BACKEND, "state": "CO", "model_version": "fake-1", "project": 1}
    with http_server() as server:
        answers = {
            "/api/version": {"release": "1.23.2"},
            "/api/current-user/whoami": {"email": "me@example.com"},
            "/api/projects/": {"results": [{"id": 1}]},
            "/api/projects/1/": {"label_config": CONFIG},
            "/api/ml/": [model],
            "/api/ml/2": model,
            "/api/webhooks/": [hook],
            "/api/tasks/": {"tasks": [task], "total": 1},
        }
        for path, answer in answers.items():
            server.routes[path] = lambda request, answer=answer: Answer(answer)
        yield server
