"""Write the README's pictures: `make pictures`, after the end-to-end tests have run."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from backend.demo.tasks import CLIPS
from backend.qa.store import Store
from tests.demo_team import PEOPLE, demo_events
from tests.e2e.conftest import find_chromium
from tests.e2e.servers import serve_here
from tests.http_server import Answer, http_server
from videogem.grounding import load_grounder
from videogem.narration.reading import cue_time, read_cues

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CLIP = CLIPS / "kitchen.mp4"
CONFIGS = ("frame_list", "video", "interactive", "actions")
HEIGHT = 690  # below this the screenshots are empty
SCREEN = {"width": 1440, "height": 1250}
SCREEN_WIDTH = 1200  # of a screen's picture
WIDTH = 720  # of a labeling config's picture, and of the method's


def main() -> None:
    """The end-to-end tests' screenshots, and what `videogem ground` draws for a clip."""
    DOCS.mkdir(exist_ok=True)
    store(ROOT / "test-artifacts" / "task_with_predictions.png", "label_studio.png", height=HEIGHT)
    for config in CONFIGS:
        picture = ROOT / "test-artifacts" / f"config_{config}.png"
        store(picture, f"config_{config}.png", height=HEIGHT, width=WIDTH)
    cue = read_cues(CLIP.with_suffix(".srt"))[0]
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-c", "from backend.cli import main; main()", "ground"]
        options = ["--narration", cue.text, "--time", str(cue_time(cue)), "--out", folder]
        subprocess.run([*program, str(CLIP), *options], check=True)
        (picture,) = Path(folder).glob("*.png")
        store(picture, "grounding.png", width=WIDTH)
    quality_pages()


def quality_pages() -> None:
    """Overview and review queue of a project whose people corrected the demo's frames."""
    grounder = load_grounder()
    with (
        tempfile.TemporaryDirectory() as folder,
        http_server() as studio,
        sync_playwright() as play,
    ):
        studio.routes["/api/users/"] = lambda request: Answer(PEOPLE)
        data = Path(folder)
        events = Store(f"sqlite:///{data}/quality.sqlite3")
        for event in demo_events(grounder):
            events.append_event(event, studio.url)
        events.process_pending()
        events.close()
        backend = serve_here(
            grounder,
            {
                "data_dir": data,
                "label_studio_url": studio.url,
                "label_studio_api_key": "key",
                "qa_sync_minutes": 0,
            },
        )
        browser = play.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport=SCREEN)
        try:
            page.goto(f"{backend.url}/qa?project=7")
            page.wait_for_selector("#chart-curve[data-drawn]")
            keep_screen(page, "quality_page.webp")
            page.goto(f"{backend.url}/qa/review?project=7")
            page.get_by_label("Your name").fill("Ana Lima")
            page.get_by_role("button", name="Start").click()
            page.locator(".card form.marks").first.wait_for()
            page.wait_for_load_state("networkidle")
            keep_screen(page, "quality_audit.webp")
        finally:
            browser.close()
            backend.stop()


def keep_screen(page: Page, name: str) -> None:
    """Keep what is on the screen, no wider than a page of the docs needs."""
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        height = round(picture.height * SCREEN_WIDTH / picture.width)
        small = picture.convert("RGB").resize((SCREEN_WIDTH, height))
        small.save(DOCS / name, quality=80, method=6)


def store(source: Path, name: str, *, height: int | None = None, width: int | None = None) -> None:
    """Keep the upper `height` pixels of a picture, made `width` wide."""
    with Image.open(source) as picture:
        part = picture.convert("RGB").crop((0, 0, picture.width, height or picture.height))
        if width is not None:
            part = part.resize((width, round(part.height * width / part.width)))
        part.save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main()
