"""The whole loop: tasks -> predictions -> what the page shows -> corrections -> the accuracy."""

import json
import re
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.client import LabelStudio
from PIL import Image
from playwright.sync_api import Page

from backend.demo.local_label_studio import LabelStudioServer
from backend.demo.tasks import demo_project
from backend.label_studio.project_setup import ensure_local_files, retrieve_predictions
from tests.e2e.browser import drag, image_area, open_task, regions, submit
from tests.e2e.servers import Backend

NUM_TASKS = 8
MARGIN = 4.0  # percent by which a box is moved past the point


@dataclass(frozen=True)
class Prelabel:
    """What the backend predicted for a task, in percent."""

    point: tuple[float, float]
    box: tuple[float, float, float, float]

    def inside(self) -> bool:
        (x, y), (x1, y1, x2, y2) = self.point, self.box
        return x1 <= x <= x2 and y1 <= y <= y2

    def way_off_the_point(self) -> tuple[float, float] | None:
        """How to move the box so that it leaves the point but not the picture, if it can."""
        (x, y), (x1, y1, x2, y2) = self.point, self.box
        moves = {
            (x - x1 + MARGIN, 0.0): 100 - x2,
            (x - x2 - MARGIN, 0.0): x1,
            (0.0, y - y1 + MARGIN): 100 - y2,
            (0.0, y - y2 - MARGIN): y1,
        }
        possible = [move for move, room in moves.items() if max(map(abs, move)) < room]
        return min(possible, key=lambda move: max(map(abs, move)), default=None)

    def grip(self) -> tuple[float, float]:
        """A place in the box far from the point, where a drag takes the box."""
        x1, y1, x2, y2 = self.box
        places = [
            (x1 + across * (x2 - x1), y1 + down * (y2 - y1))
            for across in (0.3, 0.7)
            for down in (0.3, 0.7)
        ]
        return max(places, key=lambda place: np.hypot(*np.subtract(place, self.point)))


def get_json(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def expect_summary(backend: Backend, project: int, *, n: int, hits: int) -> None:
    """The figures are exactly these; Label Studio's report of an event may take a moment."""
    deadline = time.monotonic() + 20
    while True:
        summary = get_json(f"{backend.url}/qa/summary.json?project={project}")
        if (summary["n"], summary["hits"]) == (n, hits) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert (summary["n"], summary["hits"]) == (n, hits)
    assert summary["accuracy"] == pytest.approx(hits / n)
    low, high = summary["low"], summary["high"]
    # So few points tell little; that the interval is right is tested with its own function.
    assert 0 <= low <= hits / n <= high <= 1 and high - low > 0.5


def read_prelabel(client: LabelStudio, task: int, version: str) -> Prelabel:
    """The task's only prediction, checked for form."""
    predictions = client.predictions.list(task=task)
    assert len(predictions) == 1
    assert predictions[0].model_version == version
    assert 0 <= float(predictions[0].score or -1) <= 1
    by_type = {region["type"]: region["value"] for region in predictions[0].result}
    assert sorted(by_type) == ["keypointlabels", "rectanglelabels"]
    point, box = by_type["keypointlabels"], by_type["rectanglelabels"]
    assert (point["keypointlabels"], box["rectanglelabels"]) == (["Action point"], ["Action box"])
    corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
    assert all(0 <= value <= 100 for value in (point["x"], point["y"], *corners))
    return Prelabel((point["x"], point["y"]), corners)


def test_from_tasks_to_accuracy(
    label_studio: LabelStudioServer,
    client: LabelStudio,
    backend_server: Backend,
    make_project: Callable[..., int],
    page: Page,
    artifacts: Path,
) -> None:
    demo = demo_project("frame", label_studio.files_root)
    project = make_project(demo.label_config, demo.tasks[:NUM_TASKS], backend_server)
    ensure_local_files(client, project, demo.folder)
    tasks = [task.id for task in client.tasks.list(project=project, fields="all")]
    assert len(tasks) == NUM_TASKS
    summary = get_json(f"{backend_server.url}/qa/summary.json?project={project}")
    assert summary == {"n": 0, "hits": 0, "accuracy": None, "low": None, "high": None}

    version = get_json(
        f"{backend_server.url}/setup", {"project": f"{project}.1", "schema": demo.label_config}
    )["model_version"]
    for _ in range(2):  # the second time, Label Studio finds predictions of this very version
        list(retrieve_predictions(client, project, tasks))
        prelabels = {task: read_prelabel(client, task, version) for task in tasks}

    movable = [t for t, p in prelabels.items() if p.inside() and p.way_off_the_point()]
    assert len(movable) >= 3, f"the demo model drew boxes that leave no room: {prelabels}"
    first, second, third = movable[:3]

    # The page shows what was predicted, in the colours of the labeling config.
    open_task(page, label_studio, project, first, num_regions=2)
    shown = {region.type: region for region in regions(page)}
    point, box = shown["keypointregion"], shown["rectangleregion"]
    assert (point.x, point.y) == pytest.approx(prelabels[first].point, abs=0.01)
    assert box.height is not None
    assert (box.x, box.y, box.x + box.width, box.y + box.height) == pytest.approx(
        prelabels[first].box, abs=0.01
    )
    picture = artifacts / "task_with_predictions.png"
    page.screenshot(path=picture)
    assert_drawn(picture, image_area(page), prelabels[first])

    # Submitted as it is: the point was right.
    submit(page)
    expect_summary(backend_server, project, n=1, hits=1)

    # Submitted with the box elsewhere: the point was wrong.
    open_task(page, label_studio, project, second, num_regions=2)
    move_box(page, prelabels[second])
    page.screenshot(path=artifacts / "task_with_moved_box.png")
    submit(page)
    expect_summary(backend_server, project, n=2, hits=1)

    # A later correction replaces the first one instead of counting beside it.
    open_task(page, label_studio, project, first, num_regions=2)
    move_box(page, prelabels[first])
    submit(page)
    expect_summary(backend_server, project, n=2, hits=0)

    # Moving the point alone changes nothing: the predicted point is judged by the labeler's box.
    open_task(page, label_studio, project, third, num_regions=2)
    drag(page, prelabels[third].point, prelabels[third].grip())
    moved = {region.type: region for region in regions(page)}["keypointregion"]
    assert (moved.x, moved.y) == pytest.approx(prelabels[third].grip(), abs=1.0)
    submit(page)
    expect_summary(backend_server, project, n=3, hits=1)

    page.goto(f"{backend_server.url}/qa?project={project}")
    page.screenshot(path=artifacts / "quality_page.png")
    assert re.search(r"33(\.3)?\s?%", page.inner_text("body"))

    # An annotation that is deleted no longer counts.
    (annotation,) = client.annotations.list(first)
    client.annotations.delete(annotation.id)
    expect_summary(backend_server, project, n=2, hits=1)


def move_box(page: Page, prelabel: Prelabel) -> None:
    """Drag the box off the point and make sure that it went."""
    move = prelabel.way_off_the_point()
    assert move is not None
    grip = prelabel.grip()
    drag(page, grip, (grip[0] + move[0], grip[1] + move[1]))
    (box,) = (region for region in regions(page) if region.type == "rectangleregion")
    assert (box.x, box.y) == pytest.approx(
        (prelabel.box[0] + move[0], prelabel.box[1] + move[1]), abs=1.0
    )


def assert_drawn(
    screenshot: Path, area: tuple[float, float, float, float], prelabel: Prelabel
) -> None:
    """The point's and the box's colours are on the screen where they belong."""
    pixels = np.asarray(Image.open(screenshot).convert("RGB")).astype(int)
    left, top, width, height = area

    def count(color: tuple[int, int, int], x: float, y: float) -> int:
        column, row = int(left + x / 100 * width), int(top + y / 100 * height)
        patch = pixels[max(0, row - 6) : row + 7, max(0, column - 6) : column + 7]
        return int((np.abs(patch - color).max(axis=-1) < 60).sum())

    x1, y1, x2, y2 = prelabel.box
    assert count((0xE4, 0x57, 0x2E), *prelabel.point) >= 10
    for x, y in ((x1, (y1 + y2) / 2), (x2, (y1 + y2) / 2), ((x1 + x2) / 2, y2)):
        assert count((0x17, 0xBE, 0xBB), x, y) >= 6
