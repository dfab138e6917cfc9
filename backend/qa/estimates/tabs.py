"""Tabs of Label Studio's data manager that show certain tasks."""

from collections.abc import Iterable
from typing import Any, Protocol

from backend.label_studio.client import LabelStudioError


class Api(Protocol):
    """The one call a tab needs (`backend.label_studio.client.LabelStudio`)."""

    def call(self, method: str, path: str, **options: Any) -> Any: ...


def write_tab(
    api: Api, project: int, title: str, tasks: Iterable[int], view: int | None = None
) -> int | None:
    """Make a tab with these tasks, or let the tab ``view`` show them; its id.

    A tab that somebody has closed is made anew. Label Studio can order a tab by what it knows of
    tasks alone; this one is in the order of their ids, which says nothing of the model's doubt.

    Raises:
        LabelStudioError: Label Studio refused or cannot be reached.
    """
    of_tasks = {
        "filter": "filter:tasks:id", "operator": "in_list", "type": "Number",
        "value": sorted(tasks),
    }  # fmt: skip
    data = {
        "title": title,
        "filters": {"conjunction": "and", "items": [of_tasks]},
        "ordering": ["tasks:id"],
    }
    body = {"project": project, "data": data}
    if view is not None:
        try:
            api.call("PATCH", f"/api/dm/views/{view}/?project={project}", json=body)
            return view
        except LabelStudioError as error:
            if error.status != 404:
                raise
    made = api.call("POST", "/api/dm/views/", json=body)
    number = made.get("id") if isinstance(made, dict) else None
    return number if type(number) is int else None
