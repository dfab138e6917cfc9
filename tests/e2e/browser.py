"""What a labeler does in Label Studio's page, and what they see there."""

import re
import time
from dataclasses import dataclass

from playwright.sync_api import Page

from backend.demo.local_label_studio import LabelStudioServer

# Label Studio's editor keeps its state in window.Htx; the picture is drawn on canvases over <img>.
SELECTED = "window.Htx?.annotationStore?.selected"
REGIONS = f"""() => {SELECTED}.regions.map(r => (
    {{id: r.cleanId, type: r.type, x: r.x, y: r.y, width: r.width, height: r.height ?? null}}
))"""
LOADED = """tag => tag.type === 'image' ? tag.imageIsLoaded
    : tag.type === 'video' ? tag.ref?.current?.duration > 0 : true"""


@dataclass(frozen=True)
class Region:
    """A region of the open annotation, in percent of the image."""

    id: str
    type: str
    x: float
    y: float
    width: float
    height: float | None


def open_task(
    page: Page, label_studio: LabelStudioServer, project: int, task: int, *, num_regions: int
) -> None:
    """Open a task and wait until its picture and its regions are there."""
    page.goto(f"{label_studio.url}/projects/{project}/data?task={task}")
    page.wait_for_function(
        f"({SELECTED}?.regions?.length ?? 0) >= {num_regions}"
        f" && Array.from({SELECTED}.names.values()).every({LOADED})"
    )
    page.wait_for_load_state("networkidle")


def show_frame(page: Page, frame: int, *, fps: float, tag: str = "video") -> None:
    """Move the video of a tag to a frame (counted from 1) and wait until its picture is shown.

    Asked again until it holds: the editor goes back to the start when the video's data arrives,
    which may be after its length is known.
    """
    page.wait_for_function(
        f"""([frame, time]) => {{
            const video = document.querySelector("video");
            if (video.readyState < 2 || video.seeking) return false;
            if (Math.abs(video.currentTime - time) < 0.02) return true;
            {SELECTED}.names.get("{tag}").setFrame(frame);
            return false;
        }}""",
        arg=[frame, (frame - 1) / fps],
        polling=200,
    )


def wait_until_true(page: Page, expression: str, *, seconds: float = 60) -> None:
    """Ask until an expression holds; for pages whose policy forbids that scripts make scripts.

    ``page.wait_for_function`` asks once from outside, and then by such a script within the page.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"not true within {seconds:g} s: {expression}"
        page.wait_for_timeout(100)


def regions(page: Page) -> list[Region]:
    """The regions of the annotation that is open."""
    return [Region(**region) for region in page.evaluate(REGIONS)]


def image_area(page: Page) -> tuple[float, float, float, float]:
    """Where the picture is on the page: left, top, width, height in pixels."""
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one place of the picture to another, both in percent."""
    left, top, width, height = image_area(page)

    def pixels(point: tuple[float, float]) -> tuple[float, float]:
        return left + point[0] / 100 * width, top + point[1] / 100 * height

    page.mouse.move(*pixels(start))
    page.mouse.down()
    page.mouse.move(*pixels(end), steps=10)
    page.mouse.up()


def submit(page: Page) -> None:
    """Press Submit or Update and wait until Label Studio has stored it."""
    with page.expect_response(
        lambda response: (
            "/annotations" in response.url
            and response.request.method in ("POST", "PATCH")
            and response.ok
        )
    ):
        page.locator("button", has_text=re.compile(r"^(Submit|Update)$")).click()
