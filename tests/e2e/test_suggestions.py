"""Smart tools in a real Label Studio: what an accepted suggestion does to the pre-label."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from backend.demo.local_label_studio import LabelStudioServer
from tests.e2e.browser import SELECTED, image_area, open_task, regions, submit
from tests.e2e.service_helpers import (
    NARRATION,
    call,
    config,
    frame_tasks,
    predictions,
    retrieve,
    task_ids,
)
from tests.fakes import FakeGrounder

AT = (80.0, 70.0)  # where is clicked, in percent; the pre-label is elsewhere


def test_an_accepted_suggestion_takes_the_place_of_the_pre_label(
    label_studio: LabelStudioServer,
    make_project: Callable[..., Any],
    start_backend: Callable[..., Any],
    frames: Path,
    frame_url: Callable[[Path], str],
    page: Page,
    artifacts: Path,
) -> None:
    token = label_studio.credentials.token
    backend = start_backend(FakeGrounder({NARRATION: (0.25, 0.3)}))
    project = make_project(config("interactive"), frame_tasks(frames, frame_url, 1), backend)
    [connected] = call(f"{label_studio.url}/api/ml?project={project}", token)
    body = {"is_interactive": True, "url": backend.url, "project": project}
    call(f"{label_studio.url}/api/ml/{connected['id']}", token, "PATCH", body)
    [task] = task_ids(label_studio, project)
    retrieve(label_studio, project)
    [prediction] = predictions(label_studio, project)
    before = {region["id"]: region for region in prediction["result"]}

    open_task(page, label_studio, project, task, num_regions=len(before))
    assert {region.id for region in regions(page)} == before.keys()
    page.get_by_test_id("bottombar-auto-annotation-toggle").click(force=True)
    page.locator("button[class*=tool_smart]").first.click()
    page.get_by_text("Action point", exact=True).first.click()
    left, top, width, height = image_area(page)
    page.mouse.click(left + AT[0] / 100 * width, top + AT[1] / 100 * height)
    page.wait_for_function(f"{SELECTED}.suggestions.size > 0")
    page.screenshot(path=artifacts / "suggestion_dashed.png")
    page.get_by_test_id("bottombar-accept-suggestions-button").click()
    page.wait_for_function(f"{SELECTED}.suggestions.size === 0")
    page.screenshot(path=artifacts / "suggestion_accepted.png")

    # No region more: the point and the box of the sentence are where they were pointed to.
    assert {region.id for region in regions(page)} == before.keys()
    submit(page)
    [made] = call(f"{label_studio.url}/api/tasks/{task}/annotations/", token)
    after = {region["id"]: region for region in made["result"]}
    assert after.keys() == before.keys()
    moved = {
        region["value"][region["type"]][0]
        for id, region in after.items()
        if place(region) != pytest.approx(place(before[id]), abs=0.5)
    }
    assert moved == {"Action point", "Action box"}
    [point] = [r for r in after.values() if r["value"].get("keypointlabels") == ["Action point"]]
    assert place(point)[:2] == pytest.approx(AT, abs=20)


def place(region: dict[str, Any]) -> tuple[float, ...]:
    """Left, top and size in percent."""
    value = region["value"]
    return tuple(float(value.get(name, 0)) for name in ("x", "y", "width", "height"))
