"""Every ready labeling config as labelers see it, pre-labelled; the README shows the pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.client import LabelStudio
from playwright.sync_api import Page

from backend.commands.support.task_building import Kind, build_tasks
from backend.demo.local_label_studio import LabelStudioServer
from backend.demo.tasks import CLIPS
from backend.label_studio.project_setup import retrieve_predictions
from backend.labeling.ready import ready_config, ready_configs
from tests.e2e.browser import open_task, regions, show_frame
from tests.e2e.servers import Backend
from videogem.narration.reading import read_cues

CLIP = CLIPS / "bakery.mp4"
KINDS: dict[str, Kind] = {"frame_list": "frames", "video": "video"}  # the others: frame
NUM_REGIONS = {"frame": 2, "frame_list": 16, "video": 6, "interactive": 3, "actions": 2}
BELOW_THE_FOLD = """() => [...document.querySelectorAll(".lsf-main-content *, .lsf-editor *")]
    .filter(e => e.scrollHeight > e.clientHeight + 8 && e.clientHeight > 300
        && ["auto", "scroll"].includes(getComputedStyle(e).overflowY))
    .map(e => e.className)"""
# The config's own examples do not occur in the demo's world.
ACTIONS = {"cut tomato": "judge honey pot", "pour water": "cook dumplings"}


def task(config: str, folder: Path, root: Path) -> dict[str, Any]:
    """The first task of a demo clip, as the config wants it."""
    kind = KINDS.get(config, "frame")
    cues = read_cues(CLIP.with_suffix(".srt"))
    made = build_tasks(CLIP, cues, kind=kind, out_dir=folder, files_root=root)
    return made[0]["data"]


def label_config(name: str) -> str:
    text = ready_config(name)
    for example, action in ACTIONS.items():
        text = text.replace(f'"{example}"', f'"{action}"')
    return text


@pytest.mark.parametrize("config", NUM_REGIONS)
def test_regions_are_shown(
    config: str,
    label_studio: LabelStudioServer,
    client: LabelStudio,
    backend_server: Backend,
    make_project: Callable[..., int],
    frames: Path,
    page: Page,
    artifacts: Path,
) -> None:
    data = task(config, frames, label_studio.files_root)
    project = make_project(label_config(config), [data], backend_server)
    (number,) = (int(task.id) for task in client.tasks.list(project=project))
    list(retrieve_predictions(client, project, [number]))
    (prediction,) = client.predictions.list(task=number)
    expected = [region for region in prediction.result if region["type"] != "textarea"]
    assert len(expected) == NUM_REGIONS[config]
    open_task(page, label_studio, project, number, num_regions=len(expected))
    assert {region.id for region in regions(page)} == {region["id"] for region in expected}
    if config == "video":
        show_frame(page, 20, fps=data["fps"])
    page.wait_for_timeout(1000)  # nothing tells when the last picture is drawn
    page.screenshot(path=artifacts / f"config_{config}.png")
    page.set_viewport_size({"width": 1366, "height": 768})
    page.wait_for_timeout(1000)
    page.screenshot(path=artifacts / f"config_{config}_1366.png")
    assert page.evaluate(BELOW_THE_FOLD) == []
    if config == "video":
        check_sentences(page, data["narration"])


def check_sentences(page: Page, cues: list[dict[str, Any]]) -> None:
    """Every sentence is shown without a speaker, names its regions in their list, and plays the
    video from where it was said.
    """
    shown = page.evaluate("[...document.querySelectorAll('input, textarea')].map(e => e.value)")
    named = [shown.count(cue["text"]) for cue in cues]
    assert named[0] == 2, shown  # under its moment and under its box
    assert all(named)  # the end of the list is drawn when it is scrolled to
    assert page.locator(".says [class*=name--]:visible").count() == 0
    plays = page.locator(".says button[aria-label=play]")
    assert plays.count() == len(cues)
    plays.nth(1).click()
    page.wait_for_function(
        """start => {
            const video = document.querySelector("video");
            return !video.paused && video.currentTime >= start;
        }""",
        arg=cues[1]["start"],
    )


def test_every_config_is_covered() -> None:
    assert set(ready_configs()) == set(NUM_REGIONS)
