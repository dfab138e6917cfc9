"""What all routes share: built once by ``create_app``, kept in the app's extensions."""

from dataclasses import dataclass
from typing import Any, Protocol, cast

import flask

from backend.label_studio import Connections
from backend.media import Media
from backend.model import BackgroundModel
from backend.settings import Settings

KEY = "videogem"


class EventStore(Protocol):
    """What the routes need of the quality store (`backend.qa.store.Store`)."""

    def append_event(self, payload: dict[str, Any]) -> None:
        """Keep a webhook's payload; durable before it returns."""

    def record_predictions(
        self, project_id: int, task_id: int, predictions: list[dict[str, Any]]
    ) -> None:
        """Keep what was predicted for a task."""


@dataclass(frozen=True)
class Service:
    """Settings and long-lived parts of one running backend."""

    settings: Settings
    model: BackgroundModel
    store: EventStore
    connections: Connections
    media: Media


def current_service() -> Service:
    """The service of the app that handles the current request."""
    return cast(Service, flask.current_app.extensions[KEY])
