"""What the service needs of the quality store."""

from typing import Any, Protocol


class EventStore(Protocol):
    """What the routes need of the quality store (`backend.qa.store.Store`)."""

    def append_event(self, payload: dict[str, Any]) -> None:
        """Keep a webhook's payload; durable before it returns."""

    def record_predictions(
        self, project_id: int, task_id: int, predictions: list[dict[str, Any]]
    ) -> None:
        """Keep what was predicted for a task."""
