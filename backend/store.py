"""What the service needs of the quality store."""

from typing import Any, Protocol

from backend.database.keys import ProjectKey


class EventStore(Protocol):
    """What the routes need of the quality store (`backend.qa.store.Store`)."""

    def append_event(self, payload: dict[str, Any], server: str = "") -> None:
        """Keep a webhook's payload; durable before it returns."""

    def record_predictions(
        self, project: ProjectKey | None, task_id: int, predictions: list[dict[str, Any]]
    ) -> None:
        """Keep what was predicted for a task."""
