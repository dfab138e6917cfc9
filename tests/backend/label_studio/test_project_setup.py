"""Steps of a project's preparation that may be repeated without harm."""

from types import SimpleNamespace
from typing import Any

from backend.label_studio.project_setup import TAB, ensure_tab


class Views:
    """The tabs of a Data Manager, as the SDK has them."""

    def __init__(self) -> None:
        self.views: list[Any] = [SimpleNamespace(data={"title": "Default"})]

    def list(self, **_: Any) -> list[Any]:
        return self.views

    def create(self, *, project: int, data: dict[str, Any]) -> None:
        self.views.append(SimpleNamespace(data=data))


def test_a_tab_begins_with_what_the_model_is_least_sure_of_and_is_made_once() -> None:
    views = Views()
    task = SimpleNamespace(data={"frame": "a", "narration": "b", "id": "c"})
    tasks = SimpleNamespace(list=lambda **_: [task])
    client: Any = SimpleNamespace(views=views, tasks=tasks)
    for _ in range(2):
        ensure_tab(client, 7, shown=("frame", "narration"))
    _, tab = views.views
    assert tab.data["title"] == TAB
    assert tab.data["ordering"] == ["tasks:predictions_score"]
    hidden = tab.data["hiddenColumns"]["explore"]
    assert "tasks:data.id" in hidden
    shown = {"data.frame", "data.narration", "predictions_score", "total_predictions"}
    assert not shown & {name.removeprefix("tasks:") for name in hidden}
